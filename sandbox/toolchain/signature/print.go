package signature

import (
	"fmt"
	"io"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
)

// Print prints the signature in the layout of SCONE's documentation (page
// CAS_session_lang_0_3): twice, for the two ways in which its enclave can be
// made.
func (s *Signature) Print(out io.Writer) error {
	p := printer{out: out}
	p.sigstruct(s.Static)
	p.sigstruct(s.EDMM)
	p.parameters(s.Settings)
	return p.err
}

// PrintYAML prints selected fields; SCONE does not document its layout.
func (s *Signature) PrintYAML(out io.Writer) error {
	p := printer{out: out}
	for _, one := range []*sgx.SIGSTRUCT{s.Static, s.EDMM} {
		b := one.Body()
		p.line("- mrenclave: %q", b.MRENCLAVE)
		p.line("  mrsigner: %q", one.MRSIGNER())
		p.line("  isvprodid: %d", b.ProductID)
		p.line("  isvsvn: %d", b.SecurityVersion)
		p.line("  debug: %t", b.Debug())
	}
	return p.err
}

// printer prints lines until the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

func (p *printer) sigstruct(s *sgx.SIGSTRUCT) {
	raw, b := s.Bytes(), s.Body()
	p.line("SIGSTRUCT:")
	p.line("\tHeader: %x", raw[0:16])
	p.line("\tVendor: %x", raw[16:20])
	p.line("\tDate: %08x", b.Date)
	p.line("\tHeader #2: %x", raw[24:40])
	p.line("\tSoftware defined: %x", raw[40:44])
	p.line("\tModulus: %x", raw[128:512])
	p.line("\tExponent: %x", raw[512:516])
	p.line("\tSignature: %x", raw[516:900])
	p.line("\tMisc Select: %x", raw[900:904])
	p.line("\tMisc Mask: %x", raw[904:908])
	p.attributes("Attributes", raw[928:944], b.Attributes)
	p.attributes("Attributes Mask", raw[944:960], b.AttributesMask)
	p.line("\tMRENCLAVE: %s", b.MRENCLAVE)
	p.line("\tISV Product ID: %d", b.ProductID)
	p.line("\tISV SVN: %d", b.SecurityVersion)
	p.line("\tQ1: %x", raw[1040:1424])
	p.line("\tQ2: %x", raw[1424:1808])
	p.line("\nMRSIGNER: %s\n", s.MRSIGNER())
}

func (p *printer) attributes(name string, raw []byte, a sgx.Attributes) {
	p.line("\t%s: %x", name, raw)
	p.line("\t\tDebug: %s", yesNo(a.Flags&sgx.Debug != 0))
	p.line("\t\t64-bit Mode: %s", yesNo(a.Flags&sgx.Mode64Bit != 0))
	p.line("\t\tAccess to Provisioning Key: %s", yesNo(a.Flags&sgx.ProvisionKey != 0))
	p.line("\t\tAccess to EINITTOKEN Key: %s", yesNo(a.Flags&sgx.EInitTokenKey != 0))
	p.line("\t\tXFRM: %x", raw[8:])
}

// parameters prints what the enclave is made with.
func (p *printer) parameters(s enclave.Settings) {
	mprotect := "disabled"
	if s.Mprotect {
		mprotect = "enabled"
	}
	p.line("Enclave Parameters:")
	p.line("\tNumber of TCS: %d", s.TCS)
	p.line("\tEnclave size: 68719476736")
	p.line("\tHeap size: %d", s.Heap)
	p.line("\tMinimal heap size (EDMM): %d", s.MinHeap)
	p.line("\tDefault stack size: %d", s.Stack)
	p.line("\tFlags:")
	p.line("\t\tDLOPEN: %s", []string{"not allowed", "allowed", "allowed (unprotected)"}[s.Dlopen])
	p.line("\t\tMPROTECT: %s", mprotect)
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
