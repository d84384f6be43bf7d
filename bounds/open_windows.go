package bounds

// noWait is nothing: pipes have names of their own on Windows, in no folder.
const noWait = 0

// NoFollow is nothing on Windows, where making links takes a right that users do not
// have. Whoever opens a file with it has looked at what lies there.
const NoFollow = 0
