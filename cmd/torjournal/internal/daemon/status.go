package daemon

import (
	"context"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"torjournal/journal"
	"torjournal/tor/controlport"
	"torjournal/tor/event"
)

// Status is what `torjournal status` shows. Its JSON names are stable.
type Status struct {
	Version     string             `json:"version,omitempty"`
	PID         int                `json:"pid,omitempty"`
	Started     time.Time          `json:"started,omitzero"`
	Journal     JournalStatus      `json:"journal"`
	Source      SourceStatus       `json:"source"`
	Rates       Rates              `json:"rates"`
	Listeners   []string           `json:"listeners"`
	Connections []ConnectionStatus `json:"connections"`
	Legacies    []Legacy           `json:"legacies,omitempty"` // connections to tor that outlived a restart
	Subscribers map[event.Type]int `json:"subscribers"`
	HeapBytes   uint64             `json:"heap_bytes"`
}

// JournalStatus is the file and what it holds.
type JournalStatus struct {
	Path       string                `json:"path"`
	Size       int64                 `json:"size_bytes"`
	MaxSize    int64                 `json:"max_size_bytes,omitempty"`
	MaxAge     float64               `json:"max_age_s,omitempty"`
	First      uint64                `json:"first,omitempty"`
	Last       uint64                `json:"last,omitempty"`
	FirstTime  *time.Time            `json:"first_time,omitempty"`
	LastTime   *time.Time            `json:"last_time,omitempty"`
	Session    uint64                `json:"session,omitempty"`
	Records    uint64                `json:"records"`
	LiveOnly   uint64                `json:"live_only"`
	Commits    uint64                `json:"commits"`
	Dropped    uint64                `json:"dropped"`
	QueueBytes int                   `json:"queue_bytes"`
	ByType     map[event.Type]uint64 `json:"by_type,omitempty"`
	WriteError string                `json:"write_error,omitempty"`
	Encrypted  bool                  `json:"encrypted"`

	Unjournaled uint64     `json:"unjournaled"`      // delivered, but not in the file
	Outage      *time.Time `json:"outage,omitempty"` // since when the file cannot be written
}

// SourceStatus is the Tor process that is recorded.
type SourceStatus struct {
	Attached    bool       `json:"attached"`
	Address     string     `json:"address,omitempty"`
	Name        string     `json:"name,omitempty"`
	Version     string     `json:"version,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Role        string     `json:"role,omitempty"`
	PID         int        `json:"pid,omitempty"`
	Since       *time.Time `json:"since,omitempty"`
	LastError   string     `json:"last_error,omitempty"`
	Subscribed  string     `json:"subscribed,omitempty"`
	Recorded    string     `json:"recorded,omitempty"`
	Scrub       string     `json:"scrub,omitempty"` // names the key of --scrub
}

// attachTo names the places where a tor is looked for.
func (d *Daemon) attachTo() string {
	names := make([]string, len(d.cfg.Attach))
	for i, a := range d.cfg.Attach {
		names[i] = a.String()
	}
	return strings.Join(names, ", ")
}

// Rates are events a second, journaled and live-only together.
type Rates struct {
	Minute float64 `json:"events_per_s_1m"`
	Now    float64 `json:"events_per_s_now"`
}

// ConnectionStatus is one controller on our control port.
type ConnectionStatus struct {
	ID            uint64    `json:"id"`
	Peer          string    `json:"peer"`
	Listener      string    `json:"listener"`
	Since         time.Time `json:"since"`
	Authenticated bool      `json:"authenticated"`
	History       bool      `json:"history"`
	Types         string    `json:"types,omitempty"`
	Filter        string    `json:"filter,omitempty"`
	Behind        bool      `json:"behind"`
	OwnsTor       bool      `json:"owns_tor,omitempty"` // tor ends with it
	Onions        []string  `json:"onions,omitempty"`   // service IDs of the onion services that end with it
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// status gathers what every part says of itself.
func (d *Daemon) status() Status {
	st := d.journal.Stats()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	s := Status{
		Version: d.cfg.Version, PID: os.Getpid(), Started: d.started.UTC(),
		Journal:   journalStatus(st),
		Source:    d.sourceStatus(),
		Rates:     d.rates.rates(),
		Listeners: []string{}, Connections: []ConnectionStatus{},
		Legacies: d.legacies.list(), Subscribers: d.server.SubscriberCounts(),
		HeapBytes: mem.HeapAlloc,
	}
	for _, l := range d.listeners {
		s.Listeners = append(s.Listeners, l.name)
	}
	for _, c := range d.server.Connections() {
		s.Connections = append(s.Connections, connectionStatus(c))
	}
	return s
}

func journalStatus(st journal.Stats) JournalStatus {
	return JournalStatus{
		Path: st.Path, Size: st.Size, MaxSize: st.MaxSize, MaxAge: st.MaxAge.Seconds(),
		First: st.First, Last: st.Last, FirstTime: instant(st.FirstTime), LastTime: instant(st.LastTime),
		Session: st.Session, Records: st.Records, LiveOnly: st.LiveOnly, Commits: st.Commits,
		Dropped: st.Dropped, QueueBytes: st.QueueBytes, ByType: st.ByType, WriteError: st.WriteError,
		Unjournaled: st.Unjournaled, Outage: instant(st.Outage), Encrypted: st.Encrypted,
	}
}

func (d *Daemon) sourceStatus() SourceStatus {
	st := d.source.Status()
	address := st.Address.String()
	if st.Address == (controlport.Address{}) {
		address = d.attachTo()
	}
	s := SourceStatus{
		Attached: st.Attached, Address: address, Name: st.Source.Name, Version: st.Source.Version,
		Fingerprint: st.Source.Fingerprint, Role: st.Source.Role, PID: st.Source.PID, Since: instant(st.Since),
		LastError: st.LastError, Subscribed: st.Subscribed.String(), Recorded: st.Recorded.String(),
	}
	if d.hasher != nil {
		s.Scrub = d.hasher.ID()
	}
	return s
}

// meterSpan is how many samples a meter keeps: one a second for a minute.
const meterSpan = 60

// meter turns a counter into rates by looking at it once a second.
type meter struct {
	count func() uint64

	mu      sync.Mutex
	samples []uint64 // guarded by mu; the newest last, at most meterSpan+1
}

// run samples until ctx ends.
func (m *meter) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		m.sample()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *meter) sample() {
	n := m.count()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.samples) > meterSpan {
		m.samples = append(m.samples[:0], m.samples[1:]...)
	}
	m.samples = append(m.samples, n)
}

func (m *meter) rates() (r Rates) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := len(m.samples) - 1; last > 0 {
		r.Now = float64(m.samples[last] - m.samples[last-1])
		r.Minute = float64(m.samples[last]-m.samples[0]) / float64(last)
	}
	return r
}

// StoppedStatus is the status of a journal on which no daemon runs.
func StoppedStatus(path string, b journal.Bounds, encrypted bool) Status {
	st := journal.Stats{Bounds: b, Path: path, Encrypted: encrypted}
	if fi, err := os.Stat(path); err == nil {
		st.Size = fi.Size()
	}
	return Status{Journal: journalStatus(st), Listeners: []string{}, Connections: []ConnectionStatus{}, Subscribers: map[event.Type]int{}}
}
