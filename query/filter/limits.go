package filter

// Limits of expressions: those of SETFILTER come from outside. The library
// bounds the nodes of an expression and what lists it makes; it bounds
// neither the depth of brackets nor the time that evaluation takes nor the
// texts that it makes. So what could grow or loop without a bound is not in
// the language (admit.go), and what is left is linear in the length of the
// event, with a factor that is known when the expression is compiled.
const (
	// maxExpression bounds an expression, in bytes: 80 fingerprints in a list
	// have less. The parser goes down once for each "!", too, before it counts:
	// some MiB of stack at worst.
	maxExpression = 4096

	// maxNodes bounds what an expression is made of: names, constants,
	// operators. Each costs up to 1.5 KiB while it is compiled.
	maxNodes = 256

	// maxDepth bounds brackets within brackets. The parser goes down by
	// itself, some 2 KiB of stack each.
	maxDepth = 32

	// maxPattern bounds the pattern of `matches`, in bytes, and maxSteps the
	// program that it becomes: "(ab|c){1000}" is short and has 4,000 steps.
	maxPattern = 512
	maxSteps   = 256

	// maxWork bounds what one expression may do with one event, in units of
	// about a nanosecond a byte: at 150 bytes a line, an expression of 256
	// nodes needs some ten thousands. 1<<25 are about 50 ms, which an
	// expression only comes to with events of megabytes (a NEWCONSENSUS) or
	// with patterns over long texts. What would take more does not match,
	// and counts as a failure.
	maxWork = 1 << 25

	// maxMade bounds lists that an evaluation makes, in elements: the
	// library's memory budget. No expression that is admitted makes one.
	maxMade = 1024
)
