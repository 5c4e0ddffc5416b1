package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "torjournal"

// edges is every import one of our packages may make of another, with the
// reason. Data flows source → journal → cursors → whoever reads; an edge that
// points the other way is a fault of the design, not of this list.
var edges = map[string]map[string]string{
	"tor":       {},
	"tor/event": {},
	"tor/scrub": {
		"tor/event": "strips events and says which types a role records",
	},
	"tor/logfile": {
		"tor/event": "gives only what is one whole event",
	},
	"tor/controlport": {
		"tor/event": "hands asynchronous replies on as events",
	},
	"tor/testnet": {
		"tor/controlport": "asks its tor processes how far they are",
	},
	"migrations": {},
	"journal": {
		"tor/event":  "a record is an event with a number and a time",
		"migrations": "brings the file to the schema it reads",

		"journal/internal/columns": "codes the records of sealed blocks",
	},
	"journal/internal/columns": {},
	"journal/journaltest": {
		"journal":   "builds journals in any state",
		"tor/event": "fills them",
	},
	"query/filter": {
		"journal":   "an expression becomes a Range",
		"tor/event": "type selections",
	},
	"query": {
		"journal":      "reads records",
		"query/filter": "what the words of a question mean",
		"tor/event":    "parses them",
	},
	"query/export": {
		"journal":     "reads records",
		"query":       "the rows of data sets",
		"tor/logfile": "writes such logs",
	},
	"replay": {
		"journal": "reads records",
	},
	"control": {
		"journal":      "every connection is a cursor",
		"tor/event":    "type names of SETEVENTS, our own events",
		"query":        "answers HISTORY",
		"query/filter": "time words of REPLAY, expressions of SETFILTER",
	},
	"cmd/torjournal/internal/daemon": {
		"control":         "serves the control port",
		"journal":         "owns the file, serves its blocks on the private socket",
		"tor/controlport": "runs the attached source",
		"tor/event":       "demand and status name types",
		"tor/scrub":       "what the role keeps",
	},
	"cmd/torjournal": {
		"cmd/torjournal/internal/daemon": "run, and the daemon or the file",
		"control":                        "listener options",
		"journal":                        "reads records",
		"query":                          "answers",
		"query/export":                   "the forms of files",
		"query/filter":                   "time words, type selections, expressions",
		"replay":                         "paces records",
		"tor/controlport":                "addresses and credentials",
		"tor/event":                      "short and JSON forms of events",
		"tor/logfile":                    "reads the logs that are imported, writes such logs",
		"tor/scrub":                      "checks --record before anything starts",
	},
	"cmd/torjournal-demo": {
		"tor/testnet": "the network of the demo",
	},
}

// owners names the packages that may import an outside library. A library
// that is not listed may be imported by nobody.
var owners = map[string][]string{
	"go.etcd.io/bbolt":                 {"journal", "journal/journaltest", "migrations"},
	"github.com/klauspost/compress":    {"journal", "journal/internal/columns", "tor/logfile", "control", "cmd/torjournal"}, // logs are packed with zstd too, and what USEFEATURE ZSTD sends
	"github.com/ulikunitz/xz":          {"tor/logfile"},
	"github.com/urfave/cli/v2":         {"cmd/torjournal"},
	"github.com/lmittmann/tint":        {"cmd/torjournal"},
	"github.com/schollz/progressbar":   {"cmd/torjournal"},
	"github.com/parquet-go/parquet-go": {"query/export"},
	"github.com/expr-lang/expr":        {"query/filter"},
	"golang.org/x/sys":                 {"journal", "control", "tor/testnet", "cmd/torjournal", "cmd/torjournal/internal/daemon"},
	"golang.org/x/term":                {"cmd/torjournal"},
	"golang.org/x/crypto":              {"journal"}, // XChaCha20-Poly1305 only
}

// topLevel is what may lie beside the dot files.
var topLevel = []string{
	"cmd", "journal", "replay", "tor", "control", "query", "migrations", "testdata",
	"Makefile", "README.md", "go.mod", "go.sum", "LICENSE",
}

// badNames are package names that say nothing of what is inside.
var badNames = []string{"util", "utils", "common", "helpers", "types", "errors", "misc", "base"}

type sourceFile struct {
	path    string // relative to the module, with slashes
	pkg     string // folder of the package, relative to the module
	name    string // name in the package clause
	doc     bool   // has a package comment
	imports []string
	test    bool
}

func moduleFiles(t *testing.T) []sourceFile {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []sourceFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || rel == "bin") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); rel != "." && err == nil {
				return filepath.SkipDir // a nested module has its own dependencies
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		sf := sourceFile{
			path: rel, pkg: filepath.ToSlash(filepath.Dir(rel)), name: f.Name.Name,
			doc: f.Doc != nil, test: strings.HasSuffix(rel, "_test.go"),
		}
		for _, im := range f.Imports {
			p, _ := strconv.Unquote(im.Path.Value)
			sf.imports = append(sf.imports, p)
		}
		files = append(files, sf)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPackageEdges(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, f := range moduleFiles(t) {
		if f.test {
			continue
		}
		if used[f.pkg] == nil {
			used[f.pkg] = map[string]bool{}
		}
		if _, ok := edges[f.pkg]; !ok {
			t.Errorf("%s: package %s has no room in the house: add it to edges with what it may import", f.path, f.pkg)
			continue
		}
		for _, im := range f.imports {
			to, ours := strings.CutPrefix(im, module+"/")
			if !ours {
				checkOwner(t, f, im)
				continue
			}
			used[f.pkg][to] = true
			if edges[f.pkg][to] == "" {
				t.Errorf("%s imports %s: no such edge in the house; turn the dependency round or add it with its reason", f.path, to)
			}
		}
	}
	for from, tos := range edges {
		if used[from] == nil {
			t.Errorf("edges name package %s, which does not exist", from)
			continue
		}
		for to := range tos {
			if !used[from][to] {
				t.Errorf("edge %s → %s is stale: nothing uses it", from, to)
			}
		}
	}
}

func checkOwner(t *testing.T, f sourceFile, im string) {
	t.Helper()
	if first, _, _ := strings.Cut(im, "/"); !strings.Contains(first, ".") {
		return // standard library
	}
	for lib, pkgs := range owners {
		if im == lib || strings.HasPrefix(im, lib+"/") {
			if !slices.Contains(pkgs, f.pkg) {
				t.Errorf("%s imports %s, which belongs to %s alone", f.path, im, strings.Join(pkgs, ", "))
			}
			return
		}
	}
	t.Errorf("%s imports %s: a new dependency earns its place in owners and in the README's list", f.path, im)
}

func TestPackageComments(t *testing.T) {
	doc := map[string]bool{}
	for _, f := range moduleFiles(t) {
		if f.test {
			continue
		}
		doc[f.pkg] = doc[f.pkg] || f.doc
		if slices.Contains(badNames, f.name) {
			t.Errorf("%s: package %s: the name says nothing of its job", f.path, f.name)
		}
	}
	for pkg, ok := range doc {
		if !ok {
			t.Errorf("package %s has no comment that says what it promises", pkg)
		}
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "bin" { // bin is git-ignored
			continue
		}
		got = append(got, e.Name())
	}
	want := slices.Clone(topLevel)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("top level is\n\t%v, want\n\t%v", got, want)
	}
}
