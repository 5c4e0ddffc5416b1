package event

import (
	"slices"
	"testing"
)

func TestTypes(t *testing.T) {
	all := Types()
	if len(all) != 35 || all[0] != CIRC || all[34] != JOURNAL {
		t.Fatalf("%d types: %v", len(all), all)
	}
	var masks uint64
	for i, typ := range all {
		if typ.Mask() != 1<<i {
			t.Errorf("%s has moved: the index of a journal that exists says bit %d", typ, i)
		}
		if !typ.Known() || ParseType(string(typ)) != typ {
			t.Errorf("%s is not known", typ)
		}
		masks |= typ.Mask()
	}
	if Type("FUTURE").Known() || Type("FUTURE").Mask()&masks != 0 || Type("FUTURE").Mask() == 0 {
		t.Errorf("an unknown type has the mask %x", Type("FUTURE").Mask())
	}
	if ParseType("circ_Bw") != CIRC_BW {
		t.Error("names are not case-insensitive")
	}
	all[0] = "X"
	if Types()[0] != CIRC {
		t.Error("the list can be changed from outside")
	}
}

func TestSet(t *testing.T) {
	const future, other = Type("FUTURE"), Type("OTHER")
	set := NewSet
	tests := []struct {
		name  string
		set   Set
		has   []Type
		lacks []Type
		text  string
	}{
		{"none", Set{}, nil, []Type{CIRC, JOURNAL, future, ""}, ""},
		{"known", set(BW, CIRC, BW), []Type{CIRC, BW}, []Type{STREAM, future}, "CIRC BW"},
		{"unknown", set(other, BW, future, other), []Type{BW, future, other}, []Type{CIRC, "F"}, "BW FUTURE OTHER"},
		{"all", AllTypes(), []Type{CIRC, JOURNAL, future, ""}, nil, "ALL"},
		{"union", set(BW, other).Union(set(CIRC, future)), []Type{BW, CIRC, future, other}, []Type{NS}, "CIRC BW FUTURE OTHER"},
		{"union with all", set(BW).Union(AllTypes()), []Type{CIRC, future}, nil, "ALL"},
		{"minus", set(BW, CIRC, future, other).Minus(set(CIRC, other, NS)), []Type{BW, future}, []Type{CIRC, other}, "BW FUTURE"},
		{"all but", AllTypes().Minus(set(CIRC)), []Type{BW, JOURNAL}, []Type{CIRC, future}, AllTypes().Minus(set(CIRC)).String()},
		{"minus all", set(BW, future).Minus(AllTypes()), nil, []Type{BW, future}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, typ := range tt.has {
				if !tt.set.Has(typ) || tt.set.Mask()&typ.Mask() == 0 {
					t.Errorf("lacks %q", typ)
				}
			}
			for _, typ := range tt.lacks {
				if tt.set.Has(typ) {
					t.Errorf("has %q", typ)
				}
			}
			if tt.set.String() != tt.text {
				t.Errorf("is %q, want %q", tt.set, tt.text)
			}
			if tt.set.Empty() != (len(tt.has) == 0) || tt.set.All() != (tt.text == "ALL") {
				t.Errorf("empty %v, all %v", tt.set.Empty(), tt.set.All())
			}
			if again := set(tt.set.List()...); !tt.set.All() && !again.Equal(tt.set) {
				t.Errorf("differs from the set of its own list %v", again)
			}
		})
	}
	if set(BW).Equal(set(CIRC)) || set(future).Equal(set(other)) || AllTypes().Equal(set(Types()...)) {
		t.Error("different sets are equal")
	}
	if !set(BW).Exact() || set(future).Exact() || !AllTypes().Exact() {
		t.Error("Exact is wrong")
	}
	if !slices.Equal(AllTypes().List(), Types()) {
		t.Error("the list of all types is not Types")
	}
}

func TestTypeOf(t *testing.T) {
	tests := map[string]Type{
		"650 CIRC 1 BUILT\r\n":   CIRC,
		"650+NS\r\n.\r\n":        NS,
		"650-CONF_CHANGED\r\n":   CONF_CHANGED,
		"650 DESCCHANGED\r\n":    DESCCHANGED,
		"650 FUTURE x\r\n":       "FUTURE",
		"650 circ 1 BUILT\r\n":   "circ",
		"650 BW":                 BW,
		"650 \r\n":               "",
		"650":                    "",
		"":                       "",
		"650 BW\n":               BW,
		"650  two blanks\r\n":    "",
		"650 CIRC_MINOR 1 X\r\n": CIRC_MINOR,
	}
	for wire, want := range tests {
		if got := TypeOf([]byte(wire)); got != want {
			t.Errorf("TypeOf(%q) is %q, want %q", wire, got, want)
		}
	}
	wire := []byte("650 CIRC_BW ID=1\r\n")
	if n := testing.AllocsPerRun(100, func() { TypeOf(wire) }); n != 0 {
		t.Errorf("TypeOf allocates %v times", n)
	}
}
