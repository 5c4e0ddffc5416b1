package event

import "errors"

// ErrNotEvent is what Parse's errors wrap: the bytes are not one whole
// asynchronous reply of the control protocol.
var ErrNotEvent = errors.New("not one whole asynchronous reply")
