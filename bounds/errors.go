package bounds

import (
	"fmt"
	"time"
)

// SlowError says that a service is there, but would take for ever.
type SlowError struct {
	Where string // host of who was asked, or what was done
	What  string // "sends less than 8 KiB a second"
	After time.Duration
}

// Error implements error.
func (e *SlowError) Error() string {
	return fmt.Sprintf("%s %s: given up after %s", e.Where, e.What, e.After)
}

// Evidence returns who, and how slow.
func (e *SlowError) Evidence() [][2]string {
	return [][2]string{{"where", e.Where}, {"actual", e.What}, {"after", e.After.String()}}
}

// AddressError says that a service sent a request on to an address that is further
// inside this machine or its network than the service itself.
type AddressError struct {
	From, To string // hosts
	Kind     string // of the address, such as "link-local"
}

// Error implements error.
func (e *AddressError) Error() string {
	return fmt.Sprintf("%s sent the request on to %s, a %s address, which is refused", e.From, e.To, e.Kind)
}

// Evidence returns both hosts.
func (e *AddressError) Evidence() [][2]string {
	return [][2]string{{"expected", "an address on the internet, or one like that of " + e.From}, {"actual", e.To + ", " + e.Kind}, {"where", e.From}}
}
