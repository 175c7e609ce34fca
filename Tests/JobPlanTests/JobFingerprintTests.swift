import Identifiers
import JobPlan
import Testing
import UnitOperations

@Suite struct JobFingerprintTests {
    private let files = [
        InputFile.of("/base.safetensors", role: "base"), InputFile.of("/a.safetensors", role: "checkpoint of \"a\""),
    ]

    private func fingerprint(
        _ files: [InputFile],
        text: String = "merge_method: kfac\n",
        output: String = "/out"
    ) -> BlobDigest {
        JobInventory(files: files).fingerprint(specText: text, output: output)
    }

    @Test func `equal jobs have equal fingerprints`() {
        #expect(fingerprint(files) == fingerprint(files))
    }

    /// The SHA-256 of "48:plan 5, chunks of 4096, parts of 4000000000000.01:t4:/out", by `sha256sum`.
    @Test func `a fingerprint is the SHA-256 of what it absorbs`() {
        #expect(
            "\(fingerprint([], text: "t"))" == "826bc9096cc18f219a4321a18a6dabcecd4e643f0cf68ab82764a259eb3b6e7b"
        )
    }

    @Test func `whatever identifies a file changes the fingerprint`() throws {
        let digest = try #require(BlobDigest(bytes: [UInt8](repeating: 1, count: 32)))
        let changes: [(inout InputFile) -> Void] = [
            { $0.path = "/b.safetensors" }, { $0.byteCount += 1 }, { $0.modificationTime += 1 },
            { $0.headerDigest = digest }, { $0.role = "capture of \"a\"" },
        ]
        var fingerprints: Set<BlobDigest> = [fingerprint(files)]
        for change in changes {
            for position in files.indices {
                var changed = files
                change(&changed[position])
                #expect(fingerprints.insert(fingerprint(changed)).inserted)
            }
        }
        #expect(fingerprints.insert(fingerprint(files.reversed())).inserted)
        #expect(fingerprints.insert(fingerprint(Array(files.dropLast()))).inserted)
        #expect(fingerprints.insert(fingerprint(files, text: "merge_method: linear\n")).inserted)
        #expect(fingerprints.insert(fingerprint(files, output: "/other")).inserted)
    }

    @Test func `a layout or a tie that config.json tells changes the fingerprint, and plain layers do not`() {
        func fingerprint(_ regions: [ParameterRegion]) -> BlobDigest {
            let kind = CurvatureBlock.Kind.linear(outputs: 2, inputs: 2, hasBias: regions.count > 1)
            return JobInventory(files: files).fingerprint(
                specText: "t", output: "/out", blocks: [CurvatureBlock(name: "fc", kind: kind, regions: regions)])
        }
        let weight = ParameterRegion(tensor: "fc.weight", elements: 0..<4)
        let bias = ParameterRegion(tensor: "fc.bias", elements: 0..<2)
        let plain = JobInventory(files: files).fingerprint(specText: "t", output: "/out")
        #expect(fingerprint([weight, bias]) == plain)
        var transposed = weight
        transposed.layout = .inOut
        let tied = ParameterRegion(tensor: "wte.weight", elements: 0..<4)
        #expect(Set([plain, fingerprint([transposed]), fingerprint([tied])]).count == 3)
    }

    @Test func `texts that meet are kept apart`() {
        #expect(
            fingerprint([.of("b", role: "")], text: "a") != fingerprint([.of("", role: "")], text: "ab")
        )
        #expect(
            fingerprint([.of("", role: "b1:c")]) != fingerprint([.of("", role: "b"), .of("", role: "c")])
        )
    }
}
