import Testing

/// Tests that start daemons; they run one after the other, because daemons compete for the machine's cores.
@Suite(.serialized, .timeLimit(.minutes(10))) enum SerialIntegrationTests {}

/// Tests that stop and kill daemons; they run one after the other, in parallel with the other tests.
///
/// Each suite has its own time limit, because the shortest limit counts, and chaos may be asked to last.
@Suite(.serialized) enum SerialDisturbanceTests {}
