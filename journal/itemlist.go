package journal

// itemList is a queue of items in pieces of one size. Nothing is moved when it
// grows, and what a burst took is given up behind it: but for a few pieces it
// holds what its items take. The zero value is empty.
type itemList struct {
	first, last *itemPiece // nil: empty
	spare       *itemPiece // empty ones
	spares      int
	n           int
}

const (
	// pieceItems is how many items have a place in a piece. = 256 × 72 bytes
	// = 18 KiB.
	pieceItems = 256

	// sparePieces is how many empty pieces are kept: those of one turn of the
	// writer, so that usually none is made. = 576 KiB.
	sparePieces = turnEvents / pieceItems
)

type itemPiece struct {
	items    [pieceItems]item
	from, to int // items[from:to] are there
	next     *itemPiece
}

func (l *itemList) len() int { return l.n }

// front returns the oldest item; there must be one.
func (l *itemList) front() *item { return &l.first.items[l.first.from] }

func (l *itemList) push(it *item) {
	p := l.last
	if p == nil || p.to == pieceItems {
		p = l.empty()
		if l.last == nil {
			l.first = p
		} else {
			l.last.next = p
		}
		l.last = p
	}
	p.items[p.to] = *it
	p.to++
	l.n++
}

// empty returns a piece without items.
func (l *itemList) empty() *itemPiece {
	p := l.spare
	if p == nil {
		return new(itemPiece)
	}
	l.spare, p.next = p.next, nil
	l.spares--
	return p
}

// pop removes the oldest item; there must be one.
func (l *itemList) pop() {
	p := l.first
	p.items[p.from] = item{}
	p.from++
	l.n--
	if p.from < p.to {
		return
	}
	if l.first = p.next; l.first == nil {
		l.last = nil
	}
	p.from, p.to, p.next = 0, 0, nil
	if l.spares < sparePieces {
		p.next, l.spare = l.spare, p
		l.spares++
	}
}

// keep removes the items for which f is false.
func (l *itemList) keep(f func(*item) bool) {
	for range l.n {
		it := *l.front()
		l.pop()
		if f(&it) {
			l.push(&it)
		}
	}
}
