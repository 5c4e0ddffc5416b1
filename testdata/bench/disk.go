package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// wrote returns how many bytes this process has passed to write calls. The
// kernel's own account (write_bytes) charges whole large folios and is of no
// use here.
func wrote() (int64, error) {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, "wchar: "); ok {
			return strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/io has no wchar")
}

// diskWrote returns how many bytes the disk below a folder has got, from
// everybody; ok is false where the file system has no disk of its own.
func diskWrote(folder string) (n int64, ok bool) {
	var st unix.Stat_t
	if unix.Stat(folder, &st) != nil {
		return 0, false
	}
	data, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 7 {
		return 0, false
	}
	sectors, err := strconv.ParseInt(fields[6], 10, 64)
	return sectors * 512, err == nil
}

// writing measures what happens between its start and its end.
type writing struct {
	folder string
	own    int64
	disk   int64
	hasDsk bool
}

func startWriting(folder string) (w writing, err error) {
	w.folder = folder
	w.own, err = wrote()
	w.disk, w.hasDsk = diskWrote(folder)
	return w, err
}

// end returns the bytes that this process wrote since, and those that reached
// the disk; disk is -1 if that cannot be told.
func (w writing) end() (own, disk float64, err error) {
	n, err := wrote()
	disk = -1
	if d, ok := diskWrote(w.folder); ok && w.hasDsk {
		disk = float64(d - w.disk)
	}
	return float64(n - w.own), disk, err
}

// fileBytes is how long the files whose names begin with path are together.
func fileBytes(path string) (n int64, err error) {
	names, err := filepath.Glob(path + "*")
	for _, name := range names {
		st, err := os.Lstat(name)
		if err != nil {
			return 0, err
		}
		if st.Mode().IsRegular() {
			n += st.Size()
		}
	}
	return n, err
}

// anonBytes is the memory of a process that no file backs: heap, stacks, and
// what its runtime holds in reserve.
func anonBytes(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if v, ok := bytes.CutPrefix(sc.Bytes(), []byte("RssAnon:")); ok {
			n, err := strconv.ParseInt(strings.Fields(string(v))[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no RssAnon", pid)
}

// forget puts a file out of the page cache.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
