// Package names has a name of ENS lead to the app of the latest release, and the app's
// reverse record to the name, as iExec's command line does with "iexec ens register": the
// resolver's setAddr, by who has the name, and the app's setName, by the app's owner. It
// registers no names.
package names
