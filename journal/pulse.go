package journal

// Pulse returns how often the writer has looked for something to do since
// Open, and has it look once more. It never waits, and costs no commit. A number
// that does not grow from one call to the next tells of a writer that is held
// up by a disk that does not answer, or by a fault of this program. One that
// has nothing to do goes on looking, and so does one whose disk answers with
// errors: events are delivered then.
func (j *Journal) Pulse() uint64 {
	n := j.writer.turns.Load()
	signal(j.q.wake)
	return n
}
