import TestSupport
import Testing

/// The large model, and the output of one undisturbed worker; it is made once for all tests with disturbances.
struct ReferenceRun: Sendable {
    @TaskLocal static var current: ReferenceRun?

    let model: LargeModel
    let outputPath: String

    /// Writes the model and runs its job.
    ///
    /// - Throws: what the requirement throws when the job fails.
    init(_ size: LargeModel.Size) async throws {
        model = try LargeModel(size)
        outputPath = model.directory.appending("reference")
        try await Client.runJob(try model.writeJob(output: outputPath), in: model.directory, options: ["--quiet"])
    }
}

/// Gives the tests of a suite one ``ReferenceRun``.
struct ReferenceRunTrait: SuiteTrait, TestScoping {
    let size: LargeModel.Size

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let run = try await ReferenceRun(size)
        try await ReferenceRun.$current.withValue(run) { try await function() }
    }
}

extension Trait where Self == ReferenceRunTrait {
    /// Gives the tests of a suite one ``ReferenceRun``.
    static var referenceRun: Self { referenceRun(.fewUnits) }

    /// Gives the tests of a suite one ``ReferenceRun`` of a model of another size.
    static func referenceRun(_ size: LargeModel.Size) -> Self { ReferenceRunTrait(size: size) }
}
