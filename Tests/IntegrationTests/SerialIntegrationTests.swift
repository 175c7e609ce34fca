import Testing

/// Everything that starts daemons, one test after the other: they compete for the machine's cores.
@Suite(.serialized) enum SerialIntegrationTests {}
