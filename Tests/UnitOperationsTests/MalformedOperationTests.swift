import SwiftProtobuf
import Testing

@testable import UnitOperations

/// Values that the schema allows and the operations refuse, with the whole sentence.
struct MalformedOperationTests {
    /// Expects that an example's message is refused after a change, and accepted before it.
    private func expect<Wire: Message>(
        _ problem: String, _ kind: String, as wire: Wire.Type, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout Wire) -> Void
    ) throws {
        let example = try #require(OperationExample.all.first { $0.operation.kind == kind }).operation
        var encoded = EncodedOperation(example)
        var message = try Wire(serializedBytes: encoded.bytes)
        change(&message)
        encoded.bytes = try message.serializedBytes()
        let error = #expect(throws: OperationError.self, sourceLocation: sourceLocation) { try encoded.decoded() }
        #expect(error == .malformed(problem), sourceLocation: sourceLocation)
    }

    private func expectFactor(
        _ problem: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout WireFactorOperation) -> Void
    ) throws {
        try expect(problem, "factor", as: WireFactorOperation.self, sourceLocation: sourceLocation, change)
    }

    private func expectPenalty(
        _ problem: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout WirePenaltyOperation) -> Void
    ) throws {
        try expect(problem, "penalty", as: WirePenaltyOperation.self, sourceLocation: sourceLocation, change)
    }

    private func expectInversion(
        _ problem: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout WireInvertOperation) -> Void
    ) throws {
        try expect(problem, "invert", as: WireInvertOperation.self, sourceLocation: sourceLocation, change)
    }

    private func expectSum(
        _ problem: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout WireSumPartialsOperation) -> Void
    ) throws {
        try expect(problem, "sum_partials", as: WireSumPartialsOperation.self, sourceLocation: sourceLocation, change)
    }

    @Test func `an operation that is not known is refused by its start`() {
        let long = String(repeating: "é", count: 50_000)
        for (kind, told) in [("", ""), ("colour", "colour"), (long, "\(long.prefix(100))…")] {
            let encoded = EncodedOperation(kind: kind, bytes: [], files: [])
            let error = #expect(throws: OperationError.self) { try encoded.decoded() }
            #expect(error?.description == "the operation \"\(told)\" is not known")
        }
    }

    @Test(arguments: OperationExample.all)
    func `bytes that are cut off, or of another operation, are refused`(example: OperationExample) {
        let encoded = EncodedOperation(example.operation)
        for count in 0..<encoded.bytes.count {
            var cut = encoded
            cut.bytes = Array(encoded.bytes.prefix(count))
            // Some prefixes are valid operations with fewer fields. None of them equals the example.
            #expect((try? cut.decoded())?.equals(example.operation) != true)
        }
        var wild = encoded
        wild.bytes = [0xFF]
        #expect(throws: OperationError.malformed("an operation's bytes are no message")) { try wild.decoded() }
    }

    @Test(arguments: OperationExample.all)
    func `what this version would not write is not read`(example: OperationExample) {
        let sentence = "\"\(example.operation.kind)\" is written as this version does not write it"
        // The cases are an unknown field, a file that is not read, and a file that is listed twice.
        var encoded = EncodedOperation(example.operation)
        encoded.bytes += [0xF8, 0x07, 1]
        #expect(throws: OperationError.malformed(sentence)) { try encoded.decoded() }
        encoded = EncodedOperation(example.operation)
        encoded.files.append(9)
        #expect(throws: OperationError.malformed(sentence)) { try encoded.decoded() }
        encoded.files = encoded.files.dropLast() + [encoded.files[0]]
        #expect(throws: OperationError.malformed(sentence)) { try encoded.decoded() }
    }

    @Test func `a slice names a file of the lease`() throws {
        try expectFactor("file 2 of 2 is read") { $0.slices[1].slice.file = 2 }
        try expectFactor("a slice ends behind 2^63") { $0.slices[0].slice.offset = .max }
    }

    @Test func `a factor has rows, columns and chunks that can be counted`() throws {
        try expectFactor("the number of columns is 2147483649") { $0.columns = 1 << 31 + 1 }
        try expectFactor("a factor has no rows or columns") { $0.columns = 0 }
        try expectFactor("a factor has no rows or columns") { $0.chunkRows = 0 }
        try expectFactor("the rows of a chunk is 4294967295") { $0.chunkRows = .max }
        try expectFactor("the first row is 72057594037927937") { $0.slices[0].firstRow = 1 << 56 + 1 }
        try expectFactor("a number of rows is 9223372036854775808") { $0.slices[0].rows = 1 << 63 }
    }

    @Test func `a slice's bytes are its rows' bytes`() throws {
        try expectFactor("a slice of 101 rows has 200 bytes") { $0.slices[0].rows = 101 }
        try expectFactor("a slice of 100 rows has 200 bytes") { $0.elementType = "F32" }
        try expectFactor("a slice of 1 rows has 1 bytes") { $0.slices[1].slice.byteCount = 1 }
        // 2^31 rows of 2^31 F64: 2^65 bytes, which is 0 in 64 bits.
        try expectFactor("a slice of 2147483648 rows has 0 bytes") {
            $0.columns = 1 << 31
            $0.elementType = "F64"
            $0.slices = [WireRowSlice.with { $0.rows = 1 << 31 }]
        }
    }

    @Test func `sample numbers fit the slices of rows`() throws {
        func numbers(_ bytes: UInt64, samples: UInt64 = 1) -> WireSampleNumbers {
            WireSampleNumbers.with {
                $0.slice.byteCount = bytes
                $0.samples = samples
            }
        }
        func expectNumbers(_ problem: String, _ lists: [WireSampleNumbers]) throws {
            try expectFactor(problem) {
                ($0.reduction, $0.positions) = ("none", 1)
                $0.sampleNumbers = lists
            }
        }
        try expectFactor("2 slices of rows have 2 lists of sample numbers") {
            $0.sampleNumbers = [numbers(400), numbers(4)]
        }
        try expectNumbers("2 slices of rows have 1 lists of sample numbers", [numbers(400)])
        try expectNumbers("sample numbers have 0 bytes", [numbers(0), numbers(4)])
        try expectNumbers("sample numbers have 402 bytes", [numbers(402), numbers(4)])
        try expectNumbers("a slice of 100 rows has 3 sample numbers", [numbers(12), numbers(4)])
        try expectNumbers(
            "a number of samples is 9223372036854775808", [numbers(400, samples: 1 << 63), numbers(4)])
        try expectFactor("a mean over samples has no sample numbers") { $0.averagesSamples = true }
    }

    @Test func `indices have a range, and their slices whole numbers and one sample each`() throws {
        func expectIndices(
            _ problem: String, sourceLocation: SourceLocation = #_sourceLocation,
            _ change: (inout WireIndexFactorOperation) -> Void
        ) throws {
            try expect(
                problem, "index_factor", as: WireIndexFactorOperation.self, sourceLocation: sourceLocation, change)
        }
        try expectIndices("a factor has no rows or indices") { $0.indexCount = 0 }
        try expectIndices("a factor has no rows or indices") { $0.chunkRows = 0 }
        try expectIndices("the number of indices is 2147483648") { $0.indexCount = 1 << 31 }
        try expectIndices("the rows of a chunk is 4294967295") { $0.chunkRows = .max }
        try expectIndices("the number of positions is 4294967295") { $0.positions = .max }
        try expectIndices("a number of rows is 9223372036854775808") { $0.slices[0].rows = 1 << 63 }
        try expectIndices("a slice of 100 indices has 800 bytes") { $0.isWide = false }
        try expectIndices("a slice of 101 indices has 800 bytes") { $0.slices[0].rows = 101 }
        // 2^31 indices of 8 bytes at an offset that leaves no room for them.
        try expectIndices("a slice ends behind 2^63") { $0.slices[0].slice.offset = .max }
        try expectIndices("file 2 of 2 is read") { $0.slices[1].slice.file = 2 }
        for divisor in [0, -1, .nan, .infinity] {
            try expectIndices("a divisor is not positive") { $0.divisor = divisor }
        }
        let numbers = WireSampleNumbers.with { $0.slice.byteCount = 400 }
        try expectIndices("2 slices of rows have 1 lists of sample numbers") { $0.sampleNumbers = [numbers] }
        // A mean over equally many positions has no sample numbers.
        try expectIndices("2 slices of rows have 2 lists of sample numbers") { $0.sampleNumbers = [numbers, numbers] }
        try expectIndices("a slice of 1 rows has 100 sample numbers") {
            $0.positions = 0
            $0.sampleNumbers = [numbers, numbers]
        }
    }

    @Test func `a sum over uses has uses, and sides that can be counted`() throws {
        func expectUses(_ problem: String, _ change: (inout WireSumUsesOperation) -> Void) throws {
            try expect(problem, "sum_uses", as: WireSumUsesOperation.self, change)
        }
        try expectUses("a sum over uses has none") { $0.uses = 0 }
        try expectUses("the number of uses is 131073") { $0.uses = 1 << 17 + 1 }
        try expectUses("a dimension is 4294967295") { $0.inputDimension = .max }
        try expectUses("a dimension is 0") { $0.inputDimension = 0 }
        try expectUses("a dimension is 2147483649") { $0.gradientDimension = 1 << 31 + 1 }
    }

    @Test(arguments: [0, -1, Double.nan, .infinity])
    func `a divisor is a positive number`(divisor: Double) throws {
        try expectFactor("a divisor is not positive") { $0.divisor = divisor }
        try expectSum("a divisor is not positive") { $0.divisor = divisor }
        try expect("a divisor is not positive", "combine_parts", as: WireCombineOperation.self) {
            $0.divisor = divisor
        }
    }

    @Test func `words that are not known are refused`() throws {
        try expectFactor("an element type is \"I64\"") { $0.elementType = "I64" }
        try expectFactor("the reduction is \"median\" over 197 positions") { $0.reduction = "median" }
        try expectFactor("the reduction is \"mean\" over 0 positions") { $0.positions = 0 }
        try expectFactor("the number of positions is 4294967295") { $0.positions = .max }
        try expectInversion("a damping rule is \"phi\"") { $0.damping.rule = "phi" }
        try expect("an element type is \"\"", "merge", as: WireMergeOperation.self) {
            $0.outputTypes = [""]
        }
        func expectShape(_ problem: String, rows: UInt64, columns: UInt64) throws {
            try expect(problem, "merge", as: WireMergeOperation.self) {
                $0.tensor.rows = rows
                $0.tensor.columns = columns
            }
        }
        try expectShape("a tensor is [0, 3]", rows: 0, columns: 3)
        try expectShape("a tensor is [\(1 << 40), \(1 << 40)]", rows: 1 << 40, columns: 1 << 40)
        try expectShape("a dimension is \(UInt64.max)", rows: .max, columns: 1)
        try expect("the key of random numbers has 3 words", "merge", as: WireMergeOperation.self) {
            $0.tasks[0].randomStream = [1, 2, 3]
        }
        try expect("a merge of 3 tasks has 2 inverses", "merge", as: WireMergeOperation.self) {
            $0.tasks.append($0.tasks[0])
        }
        try expect("a place is 131073", "merge", as: WireMergeOperation.self) {
            $0.tasks[0].place = 1 << 17 + 1
        }
        try expect(
            "a combination of statistics has no parts", "combine_statistics", as: WireCombineStatisticsOperation.self
        ) { $0.parts = 0 }
        try expect("a merge has neither a block nor a tensor", "merge", as: WireMergeOperation.self) {
            $0.parameters = nil
        }
        func expectMerge(_ problem: String, _ arguments: [WireMergeArgument]) throws {
            try expect(problem, "merge", as: WireMergeOperation.self) { $0.arguments = arguments }
        }
        let density = WireMergeArgument.with {
            $0.name = "density"
            $0.number = 0.5
        }
        try expectMerge("the parameter \"density\" stands behind \"density\"", [density, density])
        try expectMerge("the parameter \"t\" has no value", [.with { $0.name = "t" }])
        try expectMerge("a parameter is nan", [.with { $0.number = .nan }])
        try expect("a side is \"C\"", "accumulate", as: WireAccumulateOperation.self) { $0.side = "C" }
        try expect("a scale is \"\"", "accumulate", as: WireAccumulateOperation.self) { $0.scale = "" }
    }

    @Test(arguments: [(-1.0, "-1.0"), (.nan, "nan"), (.infinity, "inf")])
    func `a damping value is at least 0`(value: Double, text: String) throws {
        try expectInversion("a damping value is \(text)") { $0.damping.value = value }
    }

    @Test func `an exact trace has gradients for its inputs, and borders of samples`() throws {
        func expectTrace(_ problem: String, _ change: (inout WireExactTraceOperation) -> Void) throws {
            try expect(problem, "exact_trace", as: WireExactTraceOperation.self, change)
        }
        let none = "an exact trace has no rows, columns or probes"
        try expectTrace(none) { $0.chunkRows = 0 }
        try expectTrace(none) { $0.probes = 0 }
        try expectTrace(none) { $0.inputColumns = 0 }
        try expectTrace(none) { $0.gradientColumns = 0 }
        try expectTrace("an element type is \"F8\"") { $0.inputType = "F8" }
        try expectTrace("an element type is \"I32\"") { $0.gradientType = "I32" }
        try expectTrace("indices have 2 columns") { $0.inputType = "I32" }
        try expectTrace("2 slices of inputs have 1 slices of gradients") { $0.gradients.removeLast() }
        try expectTrace("a slice of 49 rows has 400 bytes") { $0.inputs[0].rows = 49 }
        try expectTrace("50 rows of inputs have 100 of gradients for 3 probes") { $0.probes = 3 }
        try expectTrace("a divisor is not positive") { $0.divisor = 0 }
        try expectTrace("samples have 3 positions and numbers") { $0.positions = 3 }
        try expectTrace("samples have neither positions nor numbers") { $0.sampleNumbers = [] }
        try expectTrace("2 slices of rows have 1 lists of sample numbers") { $0.sampleNumbers.removeLast() }
        try expectTrace("a slice of 50 rows has 25 sample numbers") { $0.sampleNumbers[0].isWide = true }
    }

    @Test func `a balance is a number of at least 0`() throws {
        func expectBalance(_ problem: String, _ change: (inout WireBalanceOperation) -> Void) throws {
            try expect(problem, "balance", as: WireBalanceOperation.self, change)
        }
        try expectBalance("a balance has no scalar") { $0.scalar = nil }
        try expectBalance("a balance is -1.0") { $0.stated = -1 }
        try expectBalance("a balance is nan") { $0.stated = .nan }
        try expectBalance("an exact trace is inf") { $0.measured.known = .infinity }
        try expectBalance("the number of parts is 131073") { $0.measured.parts = 131_073 }
        try expectBalance("the place of a trace is 131073") { $0.measured.inputPlace = 131_073 }
    }

    @Test func `a compressed form has its number and a shift of at least 0`() throws {
        func expectCompression(_ problem: String, _ change: (inout WireCompressOperation) -> Void) throws {
            try expect(problem, "compress", as: WireCompressOperation.self, change)
        }
        let number = "the compressed form block_diagonal has a wrong number, or lacks its number"
        try expectCompression(number) { $0.form.parameter = 0 }
        try expectCompression(number) { $0.form.clearParameter() }
        try expectCompression("a compressed form is \"zip\"") { $0.form.name = "zip" }
        try expectCompression("a strength is -1.0") { $0.strength = -1 }
        try expectCompression("a strength is nan") { $0.strength = .nan }
        try expectCompression("a dimension is 0") { $0.dimension = 0 }
        func expectImport(_ problem: String, _ change: (inout WireImportOperation) -> Void) throws {
            try expect(problem, "import_factor", as: WireImportOperation.self, change)
        }
        try expectImport("a compressed matrix is a diagonal, or has the shift -1.0") { $0.shift = -1 }
        try expectImport("a compressed matrix is a diagonal, or has the shift 1.0") { $0.shift = 1 }
        try expectImport("a compressed matrix is a diagonal, or has the shift 0.0") {
            $0.isDiagonal = true
            $0.form.name = "bf16"
        }
    }

    @Test func `a block has a kind and elements that can be counted`() throws {
        try expectPenalty("a block has no kind") { $0.block.kind = nil }
        try expectPenalty("a block is [0, 768]") { $0.block.linear.outputs = 0 }
        try expectPenalty("a block is [1, 0]") { $0.block.fullDimension = 0 }
        try expectPenalty("a block is [2147483648, 2147483648]") {
            $0.block.linear.outputs = 1 << 31
            $0.block.linear.inputs = 1 << 31
        }
        try expectPenalty("d_in is 4294967295") { $0.block.linear.inputs = .max }
        try expectInversion("a dimension is 4294967295") { $0.dimension = .max }
        try expectInversion("a dimension is 0") { $0.dimension = 0 }
    }

    @Test(arguments: [(0, 3), (3, 0), (2, 2), (3, 2), (2, 4), (8, 9), (1 << 40, 1 << 41)] as [(UInt64, UInt64)])
    func `the runs of a parameter fill its slice from the first element to the last`(
        length: UInt64, distance: UInt64
    ) throws {
        // The slice has 8 elements: runs of 2 at a distance of 3 fit.
        let problem = "runs of \(length) elements at a distance of \(distance) do not fill 16 bytes"
        try expectPenalty(problem) {
            $0.base.tensors[0].runLength = length
            $0.base.tensors[0].runDistance = distance
        }
        try expectPenalty("runs of 2 elements at a distance of 3 do not fill 17 bytes") {
            $0.base.tensors[0].runLength = 2
            $0.base.tensors[0].runDistance = 3
            $0.base.tensors[0].slice.byteCount = 17
        }
        try expectPenalty("the length of a run is 72057594037927937") {
            $0.base.tensors[0].runLength = 1 << 56 + 1
        }
        try expectPenalty("the distance of runs is \(UInt64.max)") { $0.base.tensors[0].runDistance = .max }
    }

    @Test func `an update has the sizes of its tensor and its factors`() throws {
        try expectPenalty("the rows of an update is 18446744073709551615") { $0.base.tensors[1].update.rows = .max }
        try expectPenalty("an update of [7, 7] with rank 0 begins at element 9") { $0.base.tensors[1].update.rank = 0 }
        try expectPenalty("an update of [7, 7] with rank 2 begins at element 47") {
            $0.base.tensors[1].update.firstElement = 47
        }
        try expectPenalty("an update of [2147483648, 72057594037927936] with rank 2 begins at element 9") {
            $0.base.tensors[1].update.rows = 1 << 31
            $0.base.tensors[1].update.columns = 1 << 56
        }
        try expectPenalty("the scale of an update is not finite") { $0.base.tensors[1].update.scale = .nan }
        try expectPenalty("the factors of an update are 67108864 times 2147483648") {
            $0.base.tensors[1].update.rows = 1 << 26
            $0.base.tensors[1].update.rank = 1 << 31
        }
        try expectPenalty("an element type is \"I8\"") { $0.base.tensors[1].update.down.elementType = "I8" }
    }

    @Test func `sums have parts, tasks, weights and targets`() throws {
        try expect("a sum has no parts", "combine_parts", as: WireCombineOperation.self) { $0.parts = 0 }
        try expect("the number of parts is 131073", "combine_parts", as: WireCombineOperation.self) {
            $0.parts = 1 << 17 + 1
        }
        try expectSum("a sum has no parts") { $0.slices = [] }
        try expectSum("the parts of a sum are BF16") { $0.elementType = "BF16" }
        try expectSum("a triangle of dimension 4 has 48 bytes") { $0.dimension = 4 }
        try expectSum("a triangle of dimension 3 has 49 bytes") { $0.slices[1].byteCount = 49 }
        // The bytes of 2^31 rows do not fit 64 bits.
        try expectSum("a triangle of dimension 2147483648 has 48 bytes") { $0.dimension = 1 << 31 }
        for weights in [[], [1, -1], [1, .nan], [.infinity, 1]] as [[Double]] {
            try expect(
                "the weights of \(weights.count) tasks are missing, negative or not finite", "accumulate",
                as: WireAccumulateOperation.self
            ) { $0.weights = weights }
        }
        try expect("a task is 2", "accumulate", as: WireAccumulateOperation.self) { $0.exclusions[1].task = 2 }
        try expect("a rank is 131073", "accumulate_optimally", as: WireOptimalAccumulateOperation.self) {
            $0.rank = 1 << 17 + 1
        }
    }

    @Test func `a list has an end`() throws {
        try expectPenalty("the list of checkpoints has 131073 items") {
            $0.checkpoints = Array(repeating: WireParameterSources(), count: 1 << 17 + 1)
        }
        try expect("the list of checkpoints has 131073 items", "norm", as: WireNormOperation.self) {
            $0.checkpoints = Array(repeating: WireParameterSources(), count: 1 << 17 + 1)
        }
    }
}
