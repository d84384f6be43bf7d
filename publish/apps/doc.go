// Package apps is for owners of apps, and for whoever checks theirs: it registers
// apps on PoCo's contracts and reads back what is there.
//
// An app is created once: its address is derived from its fields, so a second
// run of the same release finds the app that the first one made.
package apps
