package query

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// others are rows that no expression chooses from.
var others = map[string][]string{
	"at":        {"Standing"}, // which the command line alone has
	"records":   {"Record"},
	"bandwidth": {"Bandwidth", "BandwidthTotal"},
	"diff":      {"Difference"},
}

// ROWS.md says what every name means that a row has in JSON. It is made of the
// comments that the fields have, and of all of them.
func TestRowsAreDescribed(t *testing.T) {
	structs, words := written(t)
	question := map[string]string{} // that a struct is the row of
	for _, q := range Questions() {
		if q.rows.of != nil {
			question[q.rows.of.Elem().Name()] = q.Name
		} else if len(others[q.Name]) > 0 {
			question[others[q.Name][0]] = q.Name
		}
	}
	var b strings.Builder
	b.WriteString("# The names of rows\n\n" +
		"What `torjournal query … --json`, `HISTORY` and exports call what they tell, made from the code by `go test ./query -run Rows -update`.\n" +
		"Names are stable: new ones may come, none changes its meaning. Times are RFC 3339 in UTC with six decimals; what is unknown or empty is absent.\n")
	for _, q := range append(slices.Clone(Questions()), Question{Name: "at"}) {
		names := others[q.Name]
		if q.rows.of != nil {
			names = []string{q.rows.of.Elem().Name()}
		}
		if len(names) == 0 {
			t.Errorf("%s: which struct are its rows?", q.Name)
		}
		fmt.Fprintf(&b, "\n## %s\n", q.Name)
		told := map[string]bool{}
		for len(names) > 0 {
			name := names[0]
			names = names[1:]
			if told[name] || len(told) > 0 && question[name] != "" {
				continue
			}
			told[name] = true
			if len(told) > 1 {
				fmt.Fprintf(&b, "\n### %s\n", name)
			}
			b.WriteString("\n| name | what it is |\n|---|---|\n")
			var lines strings.Builder
			names = append(names, describe(t, &lines, structs, name)...)
			b.WriteString(writtenOut(lines.String(), words))
		}
	}
	if *update {
		if err := os.WriteFile("ROWS.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("ROWS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("ROWS.md is not what the code says; `go test ./query -run Rows -update` writes it anew")
	}
}

// describe writes a line for each field of a struct, and returns the structs
// that its fields hold.
func describe(t *testing.T, b *strings.Builder, structs map[string]*ast.StructType, name string) (within []string) {
	t.Helper()
	s := structs[name]
	if s == nil {
		t.Fatalf("there is no struct %s", name)
	}
	for _, f := range s.Fields.List {
		held := held(f.Type)
		if len(f.Names) == 0 && structs[held] != nil {
			within = append(within, describe(t, b, structs, held)...) // its names stand among the others
			continue
		}
		tag := ""
		if f.Tag != nil {
			tag, _, _ = strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
		}
		if tag == "" || tag == "-" {
			continue
		}
		text := strings.TrimSpace(f.Comment.Text())
		if text == "" {
			text = strings.TrimSpace(f.Doc.Text())
		}
		if structs[held] != nil && held != "Stamp" {
			text, within = strings.TrimSpace(text+" ("+held+")"), append(within, held)
		}
		if text == "" {
			t.Errorf("%s.%s: the field %q has no comment", name, f.Names[0], tag)
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", tag, strings.NewReplacer("\n", " ", "|", "\\|").Replace(text))
	}
	return within
}

// writtenOut puts constants in the place of the first of them, by which a text
// names them all.
func writtenOut(text string, words map[string]string) string {
	return regexp.MustCompile(`\bsee \w+`).ReplaceAllStringFunc(text, func(s string) string {
		if all, ok := words[strings.TrimPrefix(s, "see ")]; ok {
			return all
		}
		return s
	})
}

// held is the name of the type that a field holds: itself, by pointer, or many.
func held(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return held(e.X)
	case *ast.ArrayType:
		return held(e.Elt)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// written returns the structs of this package as they are written, and by the
// first of each group of constants of text the words that they are.
func written(t *testing.T) (structs map[string]*ast.StructType, words map[string]string) {
	t.Helper()
	structs, words = map[string]*ast.StructType{}, map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					structs[n.Name.Name] = s
				}
			case *ast.GenDecl:
				if first, all := group(n); first != "" {
					words[first] = all
				}
			}
			return true
		})
	}
	return structs, words
}

// group returns the first of some exported constants of text, and all of them
// with what they mean.
func group(decl *ast.GenDecl) (first, all string) {
	if decl.Tok != token.CONST {
		return "", ""
	}
	for _, spec := range decl.Specs {
		v := spec.(*ast.ValueSpec)
		if len(v.Values) != 1 || !v.Names[0].IsExported() {
			return "", ""
		}
		value, ok := v.Values[0].(*ast.BasicLit)
		if !ok || value.Kind != token.STRING {
			return "", ""
		}
		if first == "" {
			first = v.Names[0].Name
		} else {
			all += "; "
		}
		all += "`" + strings.Trim(value.Value, `"`) + "`"
		if c := strings.TrimSpace(v.Comment.Text()); c != "" {
			all += " " + c
		}
	}
	return first, all
}
