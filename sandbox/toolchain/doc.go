// Package toolchain is a stand-in for SCONE's licensed toolchain: one program
// that is, by the name it is called with,
//
//	scone          the command line: scone fspf, scone binary-fs, scone gcc, scone signer
//	scone-signer   scone-signer sign and info
//	anything else  the starter: it stands in an image in place of an interpreter
//	               such as python3, and runs the real one
//
// It takes the options and prints the lines that SCONE documents, so that a
// Dockerfile written for SCONE builds with it. It protects nothing: no enclave is
// made, and its measurements are marked as synthetic. Where SCONE's behaviour is
// not documented (the texts of errors, the layout of show and of info --yaml),
// what it does is its own.
//
// Two variables are the stand-in's own:
//
//	SCONE_STANDIN_SEED    makes keys and tags a function of the seed and the
//	                      command; by default they are random at each run
//	SCONE_STANDIN_FAULT   makes it fail in one of the ways in which real images
//	                      have failed; see [Faults]
package toolchain
