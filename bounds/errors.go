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
// inside this machine or its network than the service itself, or to another host than
// it may go to.
type AddressError struct {
	From, To string // hosts
	Kind     string // of the address, such as "link-local"
}

// Foreign is the kind of any address that is not the service's, where a request carries
// what is for the service alone.
const Foreign = "foreign"

// Clear is the kind of an address that is asked without TLS, where the service is asked
// with it.
const Clear = "unencrypted"

// Error implements error.
func (e *AddressError) Error() string {
	return fmt.Sprintf("%s sent the request on to %s, a %s address, which is refused", e.From, e.To, e.Kind)
}

// Evidence returns both hosts.
func (e *AddressError) Evidence() [][2]string {
	expected := "an address on the internet, or one like that of " + e.From
	switch e.Kind {
	case Foreign:
		expected = "an address of " + e.From
	case Clear:
		expected = "an address with https, as that of " + e.From
	}
	return [][2]string{{"expected", expected}, {"actual", e.To + ", " + e.Kind}, {"where", e.From}}
}
