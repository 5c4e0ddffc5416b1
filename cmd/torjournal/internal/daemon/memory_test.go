package daemon

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// bounds are the constants that MEMORY.md names, as it reckons with them.
var bounds = map[string]int64{
	"journal.queueBytes": 8 << 20, "journal.turnBytes": 1 << 20, "journal.turnEvents": 8192, "journal.windowBytes": 8 << 20,
	"journal.scratchKept": 5 << 18, "journal.oldRaw": 64 << 10, "journal.walPages": 64, "journal.zstdWindow": 1 << 20, "journal.blockEvents": 64 << 10, "journal.cachedBlocks": 2, "journal.chunkBytes": 32 << 10,
	"journal.chunkRecords": 64, "journal.copyChunk": 4 << 20, "control.readBuffer": 512, "control.writeBuffer": 16 << 10,
	"control.historyHeap": 16 << 20, "control.maxFilters": 16 << 20, "control.smallCommand": 1 << 10, "control.maxShown": 1 << 10, "control.maxGuessers": 1024,
	"control.maxIncoming": 8 << 20, "control.maxAnswers": 4 << 20, "control.maxCompressed": 16, "control.secureConnections": 256, "control.packCost": 700 << 10, "controlport.maxAnswer": 256 << 10, "controlport.maxEvent": 32 << 20, "controlport.maxReply": 32 << 20, "daemon.maxFetches": 8, "daemon.HeapBudget": 62 << 20,
}

var packages = map[string]string{
	"journal": "../../../../journal", "control": "../../../../control", "controlport": "../../../../tor/controlport", "daemon": ".",
}

func TestMemoryTable(t *testing.T) {
	data, err := os.ReadFile("MEMORY.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z]+\\.[a-zA-Z]+)`").FindAllStringSubmatch(string(data), -1) {
		named[m[1]] = true
		if _, ok := bounds[m[1]]; !ok {
			t.Errorf("the table names %s, which bounds does not have", m[1])
		}
	}
	for name, want := range bounds {
		pkg, short, _ := strings.Cut(name, ".")
		if got, err := constantOf(packages[pkg], short); err != nil || got != want {
			t.Errorf("%s is %d (%v), MEMORY.md reckons with %d: bring it up to date, the sum too", name, got, err, want)
		}
		if !named[name] {
			t.Errorf("MEMORY.md does not name %s", name)
		}
	}
	checkSum(t, string(data))
}

// checkSum adds the rows of the first table up.
func checkSum(t *testing.T, text string) {
	unit := map[string]float64{"MiB": 1, "KiB": 1.0 / 1024}
	sum := 0.0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 {
			continue
		}
		mib, err := strconv.ParseFloat(strings.TrimSpace(cells[5]), 64)
		if err != nil {
			continue // the head
		}
		if strings.TrimSpace(cells[1]) == "sum" {
			if math.Abs(sum-mib) > 0.06 {
				t.Errorf("the rows come to %.1f MiB, the sum says %.1f", sum, mib)
			}
			return
		}
		size, name, _ := strings.Cut(strings.TrimSpace(cells[3]), " ")
		each, err1 := strconv.ParseFloat(size, 64)
		times, err2 := strconv.ParseFloat(strings.TrimSpace(cells[4]), 64)
		if err1 != nil || err2 != nil || math.Abs(each*unit[name]*times-mib) > 0.06 {
			t.Errorf("%s: %v × %v is not %v MiB", cells[1], cells[3], cells[4], mib)
		}
		sum += mib
	}
	t.Error("there is no sum")
}

// constantOf evaluates a constant in the source of a package.
func constantOf(folder, name string) (int64, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return 0, err
		}
		if obj := f.Scope.Lookup(name); obj != nil {
			spec, ok := obj.Decl.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return 0, fmt.Errorf("%s: %s has no value of its own", file, name)
			}
			v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(spec.Values[0]))
			if err != nil {
				return 0, err
			}
			n, exact := constant.Int64Val(constant.ToInt(v.Value))
			if !exact {
				return 0, fmt.Errorf("%s: %s is no number", file, name)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("no constant %s in %s", name, folder)
}
