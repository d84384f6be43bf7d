//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/poco"
)

// judge asks iExec's SDK, with the functions that its preflight checks consist of, which
// of tags × enclave values it takes for an app's order.
const judge = `
const [version, root] = process.argv.slice(1, 3);
const load = (path) => import(root + '/dist/esm/' + path);
const { apporderSchema } = await load('common/utils/validator.js');
const input = JSON.parse(process.argv[3]);
const { TEE_FRAMEWORKS } = await load('common/utils/constant.js');
const zero = '0x0000000000000000000000000000000000000000';
const takes = async (tag, appMREnclave) => {
  try {
    await apporderSchema().validate({ app: zero, appprice: '0', volume: '1', tag, datasetrestrict: zero, workerpoolrestrict: zero, requesterrestrict: zero });
    if (version === '9') {
      return !appMREnclave;
    }
    const { resolveTeeFrameworkFromTag } = await load('common/execution/order-helper.js');
    const { resolveTeeFrameworkFromApp } = await load('common/protocol/registries.js');
    const ofTag = await resolveTeeFrameworkFromTag(tag);
    const ofApp = await resolveTeeFrameworkFromApp({ appMREnclave }, { strict: false });
    return ofApp === ofTag || (ofTag === undefined && ofApp === TEE_FRAMEWORKS.TDX);
  } catch {
    return false;
  }
};
const out = [];
for (const [tag, value] of input) out.push(await takes(tag, value));
console.log(JSON.stringify(out));
`

// What plan says of who can use an order is what the SDKs do, for every tag and every
// enclave value. Beyond what an SDK takes, plan counts what it looks for: SDK 9 finds
// orders of tee and tdx only.
func TestCompatibilityIsTheSDKs(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("3b", 32)
	short := func(framework string) string {
		return fmt.Sprintf(`{"framework":%q,"version":"v5","fingerprint":%q}`, framework, hash)
	}
	long := func(framework string) string {
		return fmt.Sprintf(`{"framework":%q,"version":"v5","entrypoint":"/app","heapSize":1073741824,"fingerprint":%q}`, framework, hash)
	}
	values := []string{
		"", hash + "|" + hash[:32] + "|" + hash, "{}",
		short("SCONE"), short("GRAMINE"), short("TDX"), short("SCONIFY"), long("SCONE"), long("GRAMINE"), long("TDX"), long("scone"),
	}
	var cases [][2]string
	for bits := range 16 {
		for _, value := range values {
			cases = append(cases, [2]string{fmt.Sprintf("0x%064x", bits), value})
		}
	}
	for _, version := range []int{8, 9} {
		for i, takes := range judged(t, version, cases) {
			tag, err := poco.ParseTag(cases[i][0])
			must(t, err)
			who := fmt.Sprintf("iExec's SDK %d", version)
			obstacle := slices.ContainsFunc(poco.Compatibility(tag, []byte(cases[i][1])), func(o poco.Obstacle) bool { return o.Who == who })
			if version == 9 && !(tag.Has("tee") && tag.Has("tdx")) {
				takes = false
			}
			if takes == obstacle {
				t.Errorf("SDK %d, tag %v, value %q: the SDK takes it: %t, plan names an obstacle: %t", version, tag.Names(), cases[i][1], takes, obstacle)
			}
		}
	}
}

func judged(t *testing.T, version int, cases [][2]string) (takes []bool) {
	t.Helper()
	root, err := filepath.Abs(fmt.Sprintf("../clients/node_modules/iexec-%d", version))
	must(t, err)
	input, err := json.Marshal(cases)
	must(t, err)
	out, _ := program{name: "node", args: []string{"--input-type=module", "--eval", judge, fmt.Sprint(version), root, string(input)}, dir: "."}.run(t)
	must(t, json.Unmarshal([]byte(out), &takes))
	if len(takes) != len(cases) {
		t.Fatalf("SDK %d judged %d cases of %d", version, len(takes), len(cases))
	}
	return takes
}
