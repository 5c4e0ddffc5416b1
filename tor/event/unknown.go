package event

// Unknown is an event whose type this package does not know, or whose words
// do not fit the grammar of its type: all of it is kept as it came.
type Unknown struct {
	Name Type   // the event's name, "" if it has none
	Wire string // the whole wire form; Format gives it back unchanged
}

// Type returns the event's name.
func (u *Unknown) Type() Type { return u.Name }

// Format returns the event as it came.
func (u *Unknown) Format() []byte { return []byte(u.Wire) }
