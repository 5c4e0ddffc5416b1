package testnet

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func bakeOptions(t *testing.T) Options {
	t.Helper()
	opts, err := Options{CacheDir: t.TempDir(), Log: t.Output()}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

// Test binaries of several packages run at the same time.
func TestBakersShare(t *testing.T) {
	ctx, opts := testContext(t), bakeOptions(t)
	got := make([]*bakery, 4)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = bakedKeys(ctx, opts); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, b := range got[1:] {
		if !t.Failed() && b.authority.keys != got[0].authority.keys {
			t.Errorf("two bakes: %s and %s", b.authority.keys, got[0].authority.keys)
		}
	}
}

func TestBakeReplaced(t *testing.T) {
	ctx, opts := testContext(t), bakeOptions(t)
	first, err := bakedKeys(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(filepath.Dir(first.authority.keys))
	if err := os.Remove(filepath.Join(dir, relayName(3), descriptorName)); err != nil {
		t.Fatal(err)
	}
	second, err := bakedKeys(ctx, opts)
	if err != nil || second.v3ident == first.v3ident {
		t.Errorf("a bake that lacks a file was used again (%v)", err)
	}
}

func TestFreshBake(t *testing.T) {
	now := time.Date(2026, 7, 8, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"bake1-aa-20260708T110000.000"}, "bake1-aa-20260708T110000.000"},
		{[]string{"bake1-aa-20260701T120001.000", "bake1-aa-20260703T000000.000"}, "bake1-aa-20260703T000000.000"},
		{[]string{"bake1-aa-20260701T115959.000"}, ""},                                 // a week and a second old
		{[]string{"bake2-aa-20260708T110000.000", "bake1-bb-20260708T110000.000"}, ""}, // another recipe, another tor
		{[]string{"bake1-aa-20270101T000000.000"}, ""},                                 // the clock was wrong
		{[]string{"bake1-aa-junk"}, ""},
	} {
		cache := t.TempDir()
		for _, name := range test.names {
			if err := os.Mkdir(filepath.Join(cache, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		got := strings.TrimPrefix(freshBake(cache, "bake1-aa-", now), cache+"/")
		if got != test.want {
			t.Errorf("of %v took %q, want %q", test.names, got, test.want)
		}
	}
}

func TestRemoveOldBakes(t *testing.T) {
	cache, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{"bake1-a": 0, "bake1-b": time.Hour, "bake1-c": 48 * time.Hour, "other": 48 * time.Hour} {
		dir := filepath.Join(cache, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	removeOldBakes(cache, filepath.Join(cache, "bake1-a"), now)
	entries, _ := os.ReadDir(cache)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"bake1-a", "bake1-b", "other"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}
