// Package iexeccli reads the files that iExec's command line (versions 3 to 9)
// keeps beside an app: iexec.json with the app and the terms of its order, and,
// where they are, chain.json, deployed.json and orders.json.
//
// The files were written by hand as much as by the tool, by many versions of
// it, so a value is taken in every form that one of them takes, and what cannot
// be taken is told and left out.
package iexeccli
