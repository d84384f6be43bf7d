//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/poco"
)

// judge asks iExec's SDK, with the functions that its preflight checks consist of, which
// of tags × enclave values it takes for an app's order.
const judge = `
const load = (path) => import(root + '/dist/esm/' + path);
const { apporderSchema } = await load('common/utils/validator.js');
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
` + answer

// judge5 asks SDK 5: its schema takes any tag and any enclave value. What it looks for is
// an order between two tags: tee, when the requester names it, and all that was named.
const judge5 = `
import { createRequire } from 'node:module';
const load = (path) => createRequire(root + '/')(root + '/dist/' + path);
const { apporderSchema } = load('validator.js');
const { encodeTag, findMissingBitsInTag, checkActiveBitInTag } = load('utils.js');
const zero = '0x0000000000000000000000000000000000000000';
const named = (names) => { try { return [encodeTag(names)]; } catch { return []; } };
const asked = ['tee', 'scone', 'gramine', 'tdx', 'gpu'].reduce((sets, name) => sets.concat(sets.map((set) => [...set, name])), [[]]).flatMap(named);
const takes = async (tag) => {
  await apporderSchema().validate({ app: zero, appprice: '0', volume: '1', tag, datasetrestrict: zero, workerpoolrestrict: zero, requesterrestrict: zero });
  const within = (all, some) => findMissingBitsInTag(all, some).length === 0;
  return asked.some((max) => within(max, tag) && (!checkActiveBitInTag(max, 1) || within(tag, encodeTag(['tee']))));
};
` + answer

const answer = `
const out = [];
for (const [tag, value] of input) out.push(await takes(tag, value));
console.log(JSON.stringify(out));
`

// What plan says of who can use an order is what the SDKs do, for every tag and every
// enclave value. SDK 5 has no rules for either, and is asked what it finds. Beyond what an
// SDK takes, plan counts what it looks for: SDK 9 finds orders of tee and tdx only.
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
	for bits := range 64 { // the four of TEEs, one that has no name, and the GPU's
		for _, value := range values {
			cases = append(cases, [2]string{fmt.Sprintf("0x%064x", bits&0x1f|bits>>5<<8), value})
		}
	}
	for _, version := range []int{5, 8, 9} {
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
	script := judge
	if version == 5 {
		script = judge5
	}
	script = "import { readFileSync } from 'node:fs';\nconst [version, root, file] = process.argv.slice(1);\nconst input = JSON.parse(readFileSync(file));\n" + script
	file := filepath.Join(t.TempDir(), "cases.json") // more than fits into an argument
	must(t, os.WriteFile(file, input, 0o644))
	out, _ := program{name: "node", args: []string{"--input-type=module", "--eval", script, fmt.Sprint(version), root, file}, dir: "."}.run(t)
	must(t, json.Unmarshal([]byte(out), &takes))
	if len(takes) != len(cases) {
		t.Fatalf("SDK %d judged %d cases of %d", version, len(takes), len(cases))
	}
	return takes
}
