package journal

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Options for Open. The zero value of each field means its default.
type Options struct {
	MaxSize     int64         // bytes the file may have, at least MinMaxSize; default DefaultMaxSize
	MaxAge      time.Duration // records older than this are evicted; 0: no limit
	CommitDelay time.Duration // how long a commit waits for more events; 0: not at all
	Logger      *slog.Logger  // default: discards

	// Key encrypts every value of the file; nil: it is not encrypted. It must
	// be the one that an existing file was made with.
	Key *Key

	// Now is the clock that stamps arrivals; default time.Now. A clock
	// without a monotonic reading makes Settled depend on wall time.
	Now func() time.Time

	keyless     bool                                        // no value of the file is going to be looked at: Key is not needed
	logless     bool                                        // what the log has is not going to be looked at
	lockTimeout time.Duration                               // default lockTimeout
	openFile    openFunc                                    // default os.OpenFile
	seen        *glance                                     // what was looked at before; default nothing
	sealBytes   int                                         // default by MaxSize, see sealTarget
	growBytes   int                                         // default growBatch
	parkLimits  parkLimits                                  // default defaultParkLimits
	walPages    int                                         // pages of the log; default by MaxSize, see logSize; negative: none
	windowBytes int                                         // default windowBytes
	queueBytes  int                                         // default queueBytes
	outageRetry time.Duration                               // default outageRetry
	roomWait    time.Duration                               // default roomWait
	clocks      func() (wall time.Time, mono time.Duration) // one look at both; default by Now
	wrapCommit  func(commitFunc) commitFunc
	wrapLog     func(logFunc) logFunc
	freeSpace   func(dir string) (int64, error) // bytes that may be written there; default freeSpace
	vacuumStep  func(step string)               // called before each step of a vacuum that others could see; default nothing
}

type commitFunc func(*change) (outcome, error)

type logFunc func(logTurn) error

type openFunc func(path string, flag int, mode os.FileMode) (*os.File, error)

const (
	// DefaultMaxSize is the limit of a journal that was given none: 1 GiB,
	// except on 32-bit systems, where the file must fit the address space.
	DefaultMaxSize = min(1<<30, maxSizeLimit)

	// MinMaxSize is the least limit: 256 pages. Below it the room that a
	// transaction needs would be a good part of the ring.
	MinMaxSize = 1 << 20

	// maxSizeLimit is what bbolt can map: 256 MiB where addresses have 32
	// bits, and 128 TiB elsewhere.
	maxSizeLimit = 1 << (28 + 19*(strconv.IntSize/64))

	// lockTimeout is how long Open waits for the file's lock: longer than a
	// command that reads the file ever holds it.
	lockTimeout = 10 * time.Second

	// readLockTimeout is how long a File waits for the lock. A daemon holds
	// it all the time, another reader only while it copies.
	readLockTimeout = 500 * time.Millisecond
)

func (o Options) withDefaults() (Options, error) {
	setDefault(&o.MaxSize, int64(DefaultMaxSize))
	setDefault(&o.lockTimeout, lockTimeout)
	setDefault(&o.windowBytes, windowBytes)
	setDefault(&o.queueBytes, queueBytes)
	setDefault(&o.outageRetry, outageRetry)
	setDefault(&o.roomWait, roomWait)
	setDefault(&o.growBytes, growBatch)
	setDefault(&o.parkLimits, defaultParkLimits)
	setDefault(&o.sealBytes, sealTarget(o.MaxSize))
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.openFile == nil {
		o.openFile = os.OpenFile
	}
	if o.freeSpace == nil {
		o.freeSpace = freeSpace
	}
	if o.vacuumStep == nil {
		o.vacuumStep = func(string) {}
	}
	if o.MaxSize < MinMaxSize || o.MaxSize > maxSizeLimit {
		return o, limitError(o.MaxSize)
	}
	if o.MaxAge < 0 || o.CommitDelay < 0 {
		return o, fmt.Errorf("journal: negative MaxAge or CommitDelay")
	}
	return o, nil
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// sealTarget is how many bytes of records, before compression, make a block.
// Larger ones compress better, but whoever reads one record decodes a block; a
// small ring needs small ones, because it evicts whole blocks.
func sealTarget(maxSize int64) int {
	return int(min(4<<20, max(16<<10, maxSize/32)))
}

// turnBytes bounds the records of one commit. = a quarter of a block.
const turnBytes = 1 << 20

func (o *Options) turnMax() int { return min(o.sealBytes, turnBytes) }

// boltOptions is the table of bbolt's options and their reasons. The caller
// adds OpenFile, which takes the lock and so stands for Timeout, and sets
// AllocSize on the database, because bbolt has no option for it.
//
//	InitialMmapSize  ≥ the limit: a reader that has the file mapped would
//	                 otherwise block the writer whenever the map must grow
//	MaxSize          the hard wall behind the ring: whatever goes wrong above,
//	                 the file never grows past the limit
//	FreelistType     array: it packs a ring of mixed sizes better than the
//	                 hash map and is not slower on a list this small
//	NoFreelistSync   false: without it opening scans every page of the file;
//	                 the ring keeps the list small, so a commit pays one page
//	NoSync, NoGrowSync  false: a commit that returned is on disk
//	Timeout          never 0, which waits for ever
//	FillPercent      1.0 on append-only buckets, set in each transaction:
//	                 splitting in the middle would leave every page half empty
//	AllocSize        small: bbolt grows the file by it and counts it against
//	                 MaxSize, so that its default of 16 MiB refuses early
func boltOptions(maxSize int64, open openFunc) *bolt.Options {
	return &bolt.Options{
		InitialMmapSize: int(maxSize),
		MaxSize:         int(maxSize),
		FreelistType:    bolt.FreelistArrayType,
		Timeout:         lockTimeout,
		OpenFile:        open,
	}
}

// allocSize is by how much the file grows at once: 1 MiB at most, and little
// enough that a small ring is not used up by it.
func allocSize(maxSize int64) int { return int(min(1<<20, max(32<<10, maxSize/32))) }
