import Testing

/// What starts daemons, one test after the other: they compete for the machine's cores.
@Suite(.serialized) enum SerialIntegrationTests {}

/// What stops and kills them, one after the other, beside the others.
@Suite(.serialized) enum SerialDisturbanceTests {}
