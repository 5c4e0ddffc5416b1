package query

import (
	"cmp"
	"context"
	"slices"

	"torjournal/journal"
)

// The doctor reads a range by rules. A rule looks at what was gathered (chart)
// and says what is wrong, or nothing: it has a threshold, a constant that says
// why it is that, and wants enough evidence, so that what chance does, or what a
// healthy tor does each day, is no finding. Another rule needs a function in the
// file of its subject and a line in the table below.

// How bad a finding is.
const (
	FindingError   = "error"   // something does not work
	FindingWarning = "warning" // something works badly, or will not go on working
	FindingNotice  = "notice"  // nothing fails for it, but one should know
)

// Finding is one row: what is wrong, by one rule.
type Finding struct {
	Rule     string   `json:"rule"`            // its name, which stays
	Severity string   `json:"severity"`        // see FindingError
	What     string   `json:"what"`            // what is wrong, in a plain sentence
	Count    int      `json:"count,omitempty"` // how often that was seen
	Of       int      `json:"of,omitempty"`    // among how many
	First    Stamp    `json:"first,omitzero"`  // when it was seen first
	Last     Stamp    `json:"last,omitzero"`   // and last
	Records  []uint64 `json:"records"`         // numbers of records that show it: the first ones and the last one
	Words    []string `json:"words,omitempty"` // the first and the last of them in tor's own words, their first lines
	Next     []string `json:"next"`            // what to look at now: commands, or words that say where

	place Place
}

// Place is Row's.
func (f *Finding) Place() Place { return f.place }

func (f *Finding) stand(at Place) { f.place = at }

// rule finds out one thing that may be wrong.
type rule struct {
	name  string
	judge func(*chart) []*Finding
}

// rules are in the order of where things break first: what else is wrong often
// follows.
var rules = []rule{
	{"recorder-stopped", recorderStopped},
	{"source-lost", sourceLost},
	{"tor-restarts", torRestarts},
	{"events-missing", eventsMissing},
	{"ring-too-small", ringTooSmall},
	{"disk-full", diskFull},
	{"clock-skew", clockSkew},
	{"clock-jumps", clockJumps},
	{"network-down", networkDown},
	{"connections-failing", connectionsFailing},
	{"transport-failing", transportFailing},
	{"no-answer", noAnswer},
	{"bootstrap-stuck", bootstrapStuck},
	{"no-directory-info", noDirectoryInfo},
	{"guards-down", guardsDown},
	{"guard-unreachable", guardUnreachable},
	{"guard-flapping", guardFlapping},
	{"guard-failing", guardFailing},
	{"no-circuit-built", noCircuitBuilt},
	{"first-hop-failing", firstHopFailing},
	{"circuits-failing", circuitsFailing},
	{"relay-failing", relayFailing},
	{"link-failing", linkFailing},
	{"conflux-failing", confluxFailing},
	{"build-timeout-reset", buildTimeoutReset},
	{"build-timeout-swinging", buildTimeoutSwinging},
	{"streams-failing", streamsFailing},
	{"names-unresolved", namesUnresolved},
	{"exit-dns-failing", exitDNSFailing},
	{"onion-upload-failing", onionUploadFailing},
	{"onion-not-found", onionNotFound},
	{"onion-flooded", onionFlooded},
	{"relay-unreachable", relayUnreachable},
	{"nameservers-down", nameserversDown},
	{"memory-low", memoryLow},
	{"too-many-connections", tooManyConnections},
	{"dangerous-version", dangerousVersion},
	{"dangerous-socks", dangerousSocks},
	{"newnym-limited", newnymLimited},
	{"tor-bug", torBug},
	{"log-error", logError},
	{"log-repeats", logRepeats},
}

// RuleNames lists the rules by name.
func RuleNames() (names []string) {
	for _, r := range rules {
		names = append(names, r.name)
	}
	return names
}

// Doctor calls emit for what the rules find in r, errors first, then warnings,
// then notices, each in the order of the rules. There is no row where no rule
// finds anything: then nothing is known to be wrong. Which circuits are counted
// is as with Circuits: those of r. An error of emit ends it and is returned as it
// is.
//
// It reads the records from the beginning of the session on in one walk, and
// keeps sums in memory, the circuits that stand and the streams that are open.
func Doctor(ctx context.Context, rd journal.Reader, r journal.Range, part Part, emit func(*Finding) error) ([]journal.Gap, error) {
	return doctor(ctx, stored{rd}, r, part, emit)
}

func doctor(ctx context.Context, src source, r journal.Range, part Part, emit func(*Finding) error) ([]journal.Gap, error) {
	c := newChart(src, r, part, chartTypes, ByReason, ByLink, ByRelay, ByGuard, ByPosition, ByPurpose)
	if err := c.read(ctx); err != nil {
		return c.walk.gaps, err
	}
	return c.walk.gaps, inOrder(examine(c), part, emit)
}

// examine returns what the rules find.
func examine(c *chart) (all []*Finding) {
	for _, rule := range rules {
		for _, f := range rule.judge(c) {
			f.Rule = rule.name
			all = append(all, f)
		}
	}
	severities := []string{FindingError, FindingWarning, FindingNotice}
	slices.SortStableFunc(all, func(a, b *Finding) int {
		return cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity))
	})
	return all
}
