import Testing

/// What starts daemons, one test after the other: they compete for the machine's cores.
@Suite(.serialized, .timeLimit(.minutes(10))) enum SerialIntegrationTests {}

/// What stops and kills them, one after the other, beside the others; each suite has its own time limit, since the
/// shortest holds and chaos may be asked to last.
@Suite(.serialized) enum SerialDisturbanceTests {}
