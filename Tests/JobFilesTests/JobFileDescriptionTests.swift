import Identifiers
import JobFiles
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// What `kfacctl inspect` shows.
struct JobFileDescriptionTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func describe(_ metadata: [String: String], _ tensors: [TestTensor]) throws -> JobFileDescription {
        try JobFileDescription(of: directory.write("x.safetensors", metadata, tensors))
    }

    @Test func `a capture is grouped by layers and parameters`() throws {
        let description = try describe(
            ["samples": "2"],
            [
                TestTensor("l.input", [4, 2]), TestTensor("ln.weight.grad", [2, 1]),
                TestTensor("l.output_grad", [4, 3]),
            ]
        )
        #expect(description.kind == .capture)
        #expect(description.groups.map(\.name) == ["l", "ln.weight"])
        #expect(description.groups[0].tensors.map(\.shape) == [[4, 2], [4, 3]])
        #expect(description.tensorCounts == [.float32: 3])
        #expect(description.elementCount == 22)
        #expect(description.metadata == ["samples": "2"])
        #expect(description.files.map(\.path) == [FilePath(directory.appending("x.safetensors"))])
    }

    @Test func `the counts of layers are shown, also of those without rows`() throws {
        let capture = try describe(
            ["samples": "5", "layer_samples": #"{"gone":0,"l":3}"#],
            [
                TestTensor("l.input", [4, 2]), TestTensor("l.output_grad", [4, 3]), TestTensor("e.input", [0, 2]),
                TestTensor("e.output_grad", [0, 3]), TestTensor("p.grad", [5, 1]),
            ]
        )
        #expect(capture.groups.map(\.name) == ["l", "e", "p", "gone"])
        #expect(capture.groups.map(\.sampleCount) == [3, 5, 5, 0])
        #expect(capture.groups.map(\.rowCount) == [4, 0, nil, 0])
        let factors = try describe(
            ["samples": "5", "rows": #"{"gone":0,"l":9}"#, "normalization": "tak"],
            ["l.A", "l.B", "p.F"].map { TestTensor($0, [1, 1]) }
        )
        #expect(factors.groups.map(\.name) == ["l", "p", "gone"])
        #expect(factors.groups.map(\.sampleCount) == [5, 5, 5])
        #expect(factors.groups.map(\.rowCount) == [9, nil, 0])
        #expect(try describe([:], [TestTensor("p.F", [1, 1])]).groups.map(\.sampleCount) == [nil])
    }

    @Test func `diagonals and sums over uses are told for every kind of file`() throws {
        let diagonal = #"["wte.A"]"#
        let factors = try describe(
            ["samples": "5", "normalization": "tak", "diagonal": diagonal, "uses": #"{"wte":["head","wte"]}"#],
            [TestTensor("wte.A", [7]), TestTensor("wte.B", [3, 3])])
        #expect(factors.diagonals == ["wte.A"] && factors.uses == ["wte": ["head", "wte"]])
        let partials = try describe(
            [
                "format": "kfacd.partials/1", "task": "a", "run": "r", "rank": "0", "sequence": "0", "rows": "9",
                "samples": "5", "probes": "1", "normalization": "tak", "bias": #"{"wte":false}"#,
                "layout": #"{"wte":"in_out"}"#, "diagonal": diagonal,
            ], [TestTensor("wte.A", [7]), TestTensor("wte.B", [6])])
        #expect(partials.diagonals == ["wte.A"] && partials.uses == [:])
        #expect(partials.groups.map(\.sampleCount) == [5] && partials.groups.map(\.rowCount) == [9])
        #expect(partials.layouts == ["wte": .inOut])
        let inverses = try describe(
            ["format": "kfacd.inverses/1", "diagonal": diagonal],
            [TestTensor("wte.A_inv", [7]), TestTensor("wte.B_inv", [3, 3])])
        #expect(inverses.diagonals == ["wte.A_inv"])
        let capture = try describe(
            ["samples": "2", "diagonal": #"["head.B"]"#],
            [
                TestTensor("head.input", [4, 2]), TestTensor("head.output_grad", [4, 7]),
                TestTensor("wte.input", [4], zeros: .int64), TestTensor("wte.output_grad", [4, 2]),
            ])
        #expect(capture.diagonals == ["head.output_grad", "wte.input"])
        #expect(try describe(["format": "pt", "diagonal": diagonal], [TestTensor("wte.weight", [7])]).diagonals == [])
        #expect(try describe(["samples": "2", "diagonal": "wte.A"], [TestTensor("wte.A", [7])]).diagonals == [])
    }

    @Test(
        arguments: [
            (["l.A", "l.B", "p.F"], [:], JobFileKind.factors),
            (["l.A", "l.B"], ["format": "kfacd.regularizer/1"], .regularizer),
            (["l.A_inv", "p.F_inv"], [:], .inverses),
            (["l.weight", "l.bias"], ["format": "pt"], .checkpoint),
            ([], [:], .checkpoint),
        ] as [([String], [String: String], JobFileKind)]
    )
    func `the kind follows from the format or the names`(
        names: [String],
        metadata: [String: String],
        kind: JobFileKind
    ) throws {
        let description = try describe(metadata, names.map { TestTensor($0, [1, 1]) })
        #expect(description.kind == kind)
        #expect(description.groups.first?.name == names.first.map { $0.hasPrefix("l") ? "l" : "p" })
    }
}
