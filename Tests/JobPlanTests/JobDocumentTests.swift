import JobPlan
import KroneckerFactors
import TestSupport
import Testing

/// A second document of a job file, and the key `checkpoint`.
@Suite struct JobDocumentTests {
    private let job = JobFileText(rest: ["parameters: {lambda: 0.5}"]).yaml

    @Test func `a second document adds keys and joins mappings`() throws {
        let spec = try JobSpec(
            yaml: job + "---\nparameters: {weight: 2}\ncheckpoint: {layout: flat}\n", fileName: "job.yaml")
        #expect(spec.checkpoint.layout == .flat)
        let both = JobFileText(rest: ["parameters: {lambda: 0.5, weight: 2}"])
        #expect(spec.parameters == (try both.spec()).parameters)
        #expect(JobSpec.source(of: job + "---\ncheckpoint: {}\n") == job)
    }

    @Test func `a second document replaces outputs, and its null removes a key`() throws {
        let added = "---\noutputs: [report]\nkfac: {interference: true, groups: null}\n"
        let full = JobFileText(
            rest: [
                "outputs: [regularizer]",
                "kfac: {normalization: reduce, interference: false, groups: [{layers: a, strength: 2}]}",
            ]
        ).yaml
        for (text, normalization) in [(full, "reduce"), (job, "tak")] {
            let spec = try JobSpec(yaml: text + added, fileName: "job.yaml")
            #expect(spec.outputs == [.report])
            #expect(spec.curvature.measuresInterference && spec.curvature.groups.isEmpty)
            #expect(spec.curvature.normalization.rawValue == normalization)
        }
    }

    @Test func `the source of a file with one document is the whole file`() {
        #expect(JobSpec.source(of: "---\n" + job) == "---\n" + job)
        #expect(JobSpec.source(of: "---\n" + job + "---\n{checkpoint: {}}\n") == "---\n" + job)
    }

    @Test func `a third document adds to the second one`() throws {
        let text = job + "---\nparameters: {lambda: 0.3, weight: 2}\n---\nparameters: {weight: 4}\n"
        let spec = try JobSpec(yaml: text, fileName: "job.yaml")
        #expect(spec.parameters == (try JobFileText(rest: ["parameters: {lambda: 0.3, weight: 4}"]).spec()).parameters)
        #expect(JobSpec.source(of: text) == job)
    }

    @Test func `a fourth document is refused`() {
        #expect(
            problems(in: job + "---\n{}\n---\n{}\n---\n{}\n") == [
                "job.yaml:8:1: not valid YAML: but found another document."
            ])
    }

    @Test(arguments: [("5B", 5_000_000_000), ("2k", 2000), ("3M", 3_000_000), ("17", 17)])
    func `sizes have mergekit's endings`(text: String, count: Int) throws {
        #expect(CheckpointSpec.parameterCount(text) == count)
        let spec = try JobFileText(rest: ["checkpoint: {layout: flat, shard_size: \(text)}"]).spec()
        #expect(spec.checkpoint.shardSize == count && spec.checkpoint.layout == .flat)
        #expect(spec.checkpoint.copiesTokenizer && !spec.checkpoint.hasModelCard)
    }

    @Test(arguments: ["0", "-1", "5G", "B", "1.5B", "9999999999999B"])
    func `other sizes are refused`(text: String) {
        #expect(
            problems(in: JobFileText(rest: ["checkpoint: {shard_size: \(text)}"]).yaml) == [
                "job.yaml:6:26: \"shard_size\" must be a number of parameters of at least 1, such as 5000000000, or with "
                    + "K, M or B for thousands, millions or billions, such as 5B."
            ])
    }
}
