import Identifiers
import JobFiles
import LinearAlgebra
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// Files of partial sums, one by one and together.
struct PartialsSetTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private static let names = [
        CurvatureTensorName(owner: "fc", side: .input), CurvatureTensorName(owner: "fc", side: .gradient),
        CurvatureTensorName(owner: "norm.weight", side: .full),
    ]

    /// What a file of the tests holds; each test changes the part that it tests.
    private struct Contents {
        var metadata: PartialsMetadata
        var dimensions = [3, 2, 1]
        var elementType = ElementType.f64
        var value = 1.0

        init(_ rank: Int, _ sequence: Int) {
            metadata = PartialsMetadata(
                task: "t", run: "monday", rank: rank, sequence: sequence, rowCounts: .each(["fc": 6]),
                sampleCounts: .all(3), probeCount: 2, normalization: "tak", hasBias: ["fc": true])
        }
    }

    /// Writes a file, named by its position; the name says nothing about its rank.
    private func write(_ contents: Contents, _ name: String) throws -> SafetensorsFile {
        let path = FilePath(directory.appending("\(name).safetensors"))
        let entries = zip(Self.names, contents.dimensions).map {
            PartialsWriter.Entry($0, dimension: $1, elementType: contents.elementType)
        }
        let writer = try PartialsWriter(path: path, entries: entries, metadata: contents.metadata)
        for entry in entries {
            let elements = [Double](
                repeating: contents.value, count: entry.shape.dimension * (entry.shape.dimension + 1) / 2)
            if contents.elementType == .f64 {
                try writer.write(
                    try PackedSymmetricMatrix(dimension: entry.shape.dimension, elements: elements), to: entry.name)
            } else {
                try writer.write(
                    try PackedSymmetricMatrix(dimension: entry.shape.dimension, elements: elements.map { Float($0) }),
                    to: entry.name)
            }
        }
        try writer.finish()
        return try SafetensorsFile(opening: path)
    }

    private func write(_ all: [Contents]) throws -> [SafetensorsFile] {
        try all.enumerated().map { try write($1, "\($0)") }
    }

    private func path(_ position: Int) -> String { directory.appending("\(position).safetensors") }

    private func problems(_ files: [SafetensorsFile]) -> String? {
        errorMessage { () throws(JobFileError) in _ = try PartialsSet(of: files) }
    }

    /// Two ranks of two flushes, in another order than that of their sum.
    private var whole: [Contents] { [Contents(1, 1), Contents(0, 0), Contents(1, 0), Contents(0, 1)] }

    @Test func `files are ordered by rank and sequence, whatever their names`() throws {
        let set = try PartialsSet(of: try write(whole))
        #expect(set.files.map(\.path.string) == [1, 3, 2, 0].map(path))
        #expect(set.sums.map(\.name.name) == ["fc.A", "fc.B", "norm.weight.F"])
        #expect(set.sums.map(\.shape.dimension) == [3, 2, 1])
        #expect(set.sums.map { $0.fileRanges.map(\.count) } == [6, 3, 1].map { [Int](repeating: 8 * $0, count: 4) })
        #expect(set.counts.mapValues(\.rows) == ["fc": 24, "norm.weight": 0])
        #expect(set.counts.mapValues(\.samples) == ["fc": 12, "norm.weight": 12])
        #expect((set.task, set.run, set.probeCount) == ("t", "monday", 2))
        #expect((set.normalization, set.hasBias, set.layouts) == ("tak", ["fc": true], [:]))
        #expect(set.repetitions.isEmpty)
    }

    @Test func `the metadata is read as it was written`() throws {
        var metadata = Contents(3, 7).metadata
        metadata.sampleCounts = .each(["fc": 0, "norm.weight": 4])
        metadata.layouts = ["fc": .inOut]
        metadata.baseDigest = BlobDigest(hexadecimal: String(repeating: "ab", count: 32))
        #expect(try PartialsMetadata(parsing: metadata.strings, file: "x") == metadata)
        metadata.rowCounts = .all(9)
        #expect(try PartialsMetadata(parsing: metadata.strings, file: "x") == metadata)
    }

    @Test(
        arguments: [
            (
                MetadataKey.format, nil,
                "x: states no format; expected \"kfacd.partials/1\". It is damaged, or no file of kfacd."
            ),
            (
                MetadataKey.format, "kfacd.partials/2",
                "x: is of the format \"kfacd.partials/2\", which a later version of kfacd wrote; this one reads "
                    + "\"kfacd.partials/1\". Use the version that wrote it, or a later one."
            ),
            (
                MetadataKey.task, nil,
                "x: metadata \"task\" is missing; expected the task whose rows were summed. Write the file again with it."
            ),
            (
                MetadataKey.run, nil,
                "x: metadata \"run\" is missing; expected the name of the run. Write the file again with it."
            ),
            (
                MetadataKey.run, "../b",
                "x: metadata \"run\" is \"../b\"; expected 1 to 200 bytes without a path separator or control character and "
                    + "without a leading dot. Write the file again with it."
            ),
            (
                MetadataKey.processRank, "-1",
                "x: metadata \"rank\" is \"-1\"; expected a whole number from 0 on. Write the file again with it."
            ),
            (
                MetadataKey.sequence, "1e3",
                "x: metadata \"sequence\" is \"1e3\"; expected a whole number from 0 on. Write the file again with it."
            ),
            (
                MetadataKey.rows, "{\"fc\":-1}",
                "x: metadata \"rows\" is \"{\"fc\":-1}\"; expected a whole number, or an object of such numbers. Write the "
                    + "file again with it."
            ),
            (
                MetadataKey.samples, nil,
                "x: metadata \"samples\" is missing; expected a whole number, or an object of such numbers. Write the file again with it."
            ),
            (
                MetadataKey.probes, "0",
                "x: metadata \"probes\" is \"0\"; expected a whole number of at least 1. Write the file again with it."
            ),
            (
                MetadataKey.normalization, "none",
                "x: metadata \"normalization\" is \"none\"; expected one of tak, expand, reduce. Write the file again with it."
            ),
            (
                MetadataKey.layout, "{\"fc\":\"both\"}",
                "x: metadata \"layout\" is \"{\"fc\":\"both\"}\"; expected an object of out_in and in_out by layer. Write the "
                    + "file again with it."
            ),
        ] as [(String, String?, String)]
    )
    func `a value that is missing or no value is named`(key: String, value: String?, message: String) {
        var strings = Contents(0, 0).metadata.strings
        strings[key] = value
        #expect(
            errorMessage { () throws(JobFileError) in _ = try PartialsMetadata(parsing: strings, file: "x") } == message
        )
    }

    @Test func `a file of another run is one problem, whatever else differs in it`() throws {
        var foreign = [Contents(0, 5), Contents(1, 5)]
        for index in foreign.indices {
            foreign[index].metadata.run = "tuesday"
            foreign[index].metadata.probeCount = 9
            foreign[index].dimensions = [4, 4, 4]
        }
        let files = try write(foreign + whole)
        #expect(
            problems(files)
                == "\(path(0)) and 1 more: the run is \"tuesday\"; expected \"monday\" as in \(path(2)). Name the "
                + "files of one run only.")
    }

    /// Each change to one of four files, with what it is called.
    private static let differences: [@Sendable (inout Contents) -> String] = [
        {
            $0.metadata.task = "u"
            return "the task is \"u\"; expected \"t\""
        },
        {
            $0.metadata.baseDigest = BlobDigest(hexadecimal: String(repeating: "00", count: 32))
            return "the base checkpoint's digest is \(String(repeating: "00", count: 32)); expected not stated"
        },
        {
            $0.metadata.probeCount = 1
            return "the number of probes is 1; expected 2"
        },
        {
            $0.metadata.normalization = "reduce"
            return "the normalization is \"reduce\"; expected \"tak\""
        },
        {
            $0.elementType = .f32
            return "the element type of \"fc.A\", \"fc.B\", \"norm.weight.F\" is F32; expected F64"
        },
        {
            $0.dimensions[1] = 5
            return "the dimension of \"fc.B\" is 5; expected 2"
        },
        {
            $0.metadata.hasBias = ["fc": false]
            return "the bias of \"fc\" is false; expected true"
        },
        {
            $0.metadata.layouts = ["fc": .inOut]
            return "the layout of \"fc\" is in_out; expected out_in"
        },
    ]

    @Test(arguments: differences.indices) func `a file that differs from the others is named`(_ index: Int) throws {
        var all = whole
        let sentence = Self.differences[index](&all[0])
        #expect(problems(try write(all)) == "\(path(0)): \(sentence) as in \(path(1)). Name the files of one run only.")
    }

    @Test func `ranks that disagree about layers are named together`() throws {
        var files = try write(whole)
        for sequence in 0...1 {
            var metadata = Contents(2, sequence).metadata
            metadata.rowCounts = .each(["head": 6])
            metadata.hasBias = ["head": true]
            var strings = metadata.strings
            strings[MetadataKey.samples] = "3"
            let file = try SafetensorsFile(
                opening: directory.write(
                    "other\(sequence)", strings,
                    [TestTensor("head.A", [6], zeros: .float64), TestTensor("head.B", [3], zeros: .float64)]))
            files.append(file)
        }
        #expect(
            problems(files)
                == "\(directory.appending("other0")) and 1 more: lacks \"fc.A\", \"fc.B\", \"norm.weight.F\" and "
                + "has \"head.A\", \"head.B\", which are not expected; expected the sums of \(path(0)). All ranks must sum the "
                + "same layers: repeat the run.")
    }

    @Test func `a file must count its own layers and parameters`() throws {
        var contents = Contents(0, 0)
        contents.metadata.rowCounts = .each(["head": 6])
        contents.metadata.hasBias = [:]
        contents.metadata.layouts = ["norm.weight": .outIn]
        let end = "; expected the file's own layers and parameters. Write it again with them."
        #expect(
            problems(try write([contents])) == """
                \(path(0)): metadata "rows" lacks "fc" and has "head", which is not expected\(end)
                \(path(0)): metadata "bias" lacks "fc"\(end)
                \(path(0)): metadata "layout" has "norm.weight", which is not expected\(end)
                """)
    }

    @Test func `rows have samples`() throws {
        var contents = Contents(0, 0)
        contents.metadata.sampleCounts = .all(0)
        #expect(
            problems(try write([contents]))
                == "\(path(0)): layer \"fc\" has 6 rows of 0 samples; expected at least one sample. Write it again with the "
                + "right counts.")
        // A rank may have no rows of a layer.
        contents.metadata.rowCounts = .all(0)
        let set = try PartialsSet(of: try write([contents, Contents(0, 1)]))
        #expect(set.counts.mapValues(\.rows) == ["fc": 6, "norm.weight": 0])
        #expect(set.counts.mapValues(\.samples) == ["fc": 3, "norm.weight": 3])
    }

    @Test func `missing sequences and ranks are counted`() throws {
        #expect(
            problems(try write([Contents(0, 0), Contents(0, 2), Contents(2, 0), Contents(2, 9)])) == """
                \(path(0)): the rank 1 is missing; expected all from 0 to 2. Name or push their files too, or \
                repeat the run.
                \(path(0)): the sequence of rank 0 numbered 1 is missing; expected all from 0 to 2. Name or push \
                their files too, or repeat the run.
                \(path(2)): the sequences of rank 2 numbered 1, 2, 3 and 5 more are missing; expected all from 0 to 9. Name or \
                push their files too, or repeat the run.
                """)
    }

    @Test func `a file that comes twice counts once`() throws {
        let files = try write([Contents(0, 0), Contents(0, 1), Contents(0, 0)])
        let set = try PartialsSet(of: files)
        #expect(set.files.map(\.path.string) == [path(0), path(1)])
        #expect(set.repetitions.map(\.file.path.string) == [path(2)])
        try set.requireEqualRepetitions()
        #expect(set.counts["fc"]?.rows == 12)
    }

    @Test func `a sequence that comes twice with other bytes is refused`() throws {
        var other = Contents(0, 0)
        other.value = 2
        let set = try PartialsSet(of: try write([Contents(0, 0), other]))
        #expect(
            errorMessage { () throws(JobFileError) in try set.requireEqualRepetitions() }
                == "\(path(1)): is sequence 0 of rank 0, as \(path(0)) is, but has other bytes; expected one file of that "
                + "sequence. Remove the wrong one.")
    }

    @Test func `tensors of other kinds, types and shapes are named`() throws {
        let strings = Contents(0, 0).metadata.strings
        let file = try SafetensorsFile(
            opening: directory.write(
                "x", strings,
                [
                    TestTensor("fc.A", [3, 3], zeros: .float64), TestTensor("fc.B", [3], zeros: .bfloat16),
                    TestTensor("q.A", [3], zeros: .float32), TestTensor("fc.A_inv", [3], zeros: .float32),
                ]))
        let x = directory.appending("x")
        #expect(
            problems([file]) == """
                \(x): tensor "fc.A" has the shape [3, 3]; expected a packed triangle [n(n + 1)/2]; a diagonal \
                [n] is stated by "diagonal". Write the file again.
                \(x): tensor "fc.B" holds BF16; expected F32 or F64. Write the file again.
                \(x): tensor "fc.A_inv" does not belong in a file of kind partials; expected "<layer>.A", "<layer>.B" and \
                "<parameter>.F". Rename it, or leave it out.
                \(x): tensor "q.B" is missing; expected it beside the others. Write the file again with it.
                """)
        let empty = try SafetensorsFile(opening: directory.write("empty", strings, []))
        #expect(
            problems([empty])
                == "\(directory.appending("empty")): holds no sums; expected \"<layer>.A\" and \"<layer>.B\", or "
                + "\"<parameter>.F\". Write it again.")
    }

    @Test func `the kind of a file of partial sums follows from its format`() throws {
        let description = try JobFileDescription(of: try write(Contents(0, 0), "0").path)
        #expect(description.kind == .partials)
        #expect(description.groups.map(\.name) == ["fc", "norm.weight"])
        #expect(description.metadata[MetadataKey.run] == "monday")
    }
}
