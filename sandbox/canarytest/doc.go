// Package canarytest has apps run by workerpools of the sandbox before they are offered.
package canarytest
