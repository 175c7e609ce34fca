import Crypto
public import Identifiers
import KroneckerFactors
import LinearAlgebra

/// The digest of a worker's operation and its inputs.
///
/// Equal keys give equal results, also across jobs.
///
/// Source: DESIGN section 5: "a unit's key is the digest of its operation and inputs: what is already known is not
/// computed again". A blob is included by its digest. A slice of a file is included by the file's path, size,
/// modification time and header, as in a job's fingerprint.
public struct UnitKey: Hashable, Sendable, Codable {
    /// SHA-256 over the operation and its inputs.
    public let digest: BlobDigest

    /// Raise this whenever the same operation would be computed differently.
    private static let version = 1

    /// Takes a key from a record.
    public init(digest: BlobDigest) {
        self.digest = digest
    }

    /// Makes the key of an operation.
    ///
    /// - Parameters:
    ///   - operation: The operation, its inputs named by their digests.
    ///   - files: The files that its slices refer to.
    public init(of operation: WorkerOperation<BlobDigest>, files: [InputFile]) {
        var text = KeyText(files: files)
        text.absorb("kfacd unit \(Self.version)")
        text.absorb(operation)
        digest = BlobDigest(sha256: SHA256.hash(data: text.bytes))
    }
}

/// The canonical text of an operation: every value follows its length, so that neighbouring values stay separate.
private struct KeyText {
    let files: [InputFile]
    /// Hashed at once: a plan has units by the hundred thousand, and each has some twenty values.
    private(set) var bytes: [UInt8] = []

    init(files: [InputFile]) {
        self.files = files
        bytes.reserveCapacity(1024)
    }

    mutating func absorb(_ text: String) {
        bytes += String(text.utf8.count).utf8
        bytes.append(UInt8(ascii: ":"))
        bytes += text.utf8
    }

    mutating func absorb(_ number: Int) { absorb(String(number)) }
    mutating func absorb(_ number: Double) { absorb(String(number.bitPattern)) }
    mutating func absorb(_ blob: BlobDigest) { absorb(blob.description) }

    mutating func absorb<Value>(_ values: [Value], _ absorbOne: (inout KeyText, Value) -> Void) {
        absorb(values.count)
        for value in values { absorbOne(&self, value) }
    }

    mutating func absorb(_ slice: FileSlice) {
        if files.indices.contains(slice.file) {
            let file = files[slice.file]
            absorb(file.path)
            absorb("\(file.byteCount) \(file.modificationTime) \(file.headerDigest)")
        }
        absorb("\(slice.offset) \(slice.byteCount)")
    }

    mutating func absorb(_ operation: WorkerOperation<BlobDigest>) {
        switch operation {
        case .factor(let operation): absorb(operation)
        case .importFactor(let operation):
            absorb("import \(operation.dimension) \(operation.elementType.rawValue) \(operation.isPacked)")
            absorb(operation.slice)
        case .combine(let operation):
            absorb("combine \(operation.dimension)")
            absorb(operation.divisor)
            absorb(operation.parts) { $0.absorb($1) }
        case .accumulate(let operation):
            absorb("accumulate \(operation.side.rawValue) \(operation.dimension) \(operation.scale.rawValue)")
            absorb(operation.factors) { $0.absorb($1) }
            absorb(operation.weights) { $0.absorb($1) }
            absorb(operation.exclusions) { $0.absorb($1 ?? -1) }
        case .accumulateOptimal(let operation): absorb(operation)
        case .invert(let operation):
            absorb("invert \(operation.isFullBlock ? "block" : "side") \(operation.dimension)")
            absorb(operation.factor)
            absorb(operation.damping)
        case .penalty(let operation):
            absorb("penalty")
            absorb(operation.block)
            absorb(operation.factors)
            absorb(operation.base)
            absorb(operation.checkpoints) { $0.absorb($1) }
            if !operation.unweighted.isEmpty { absorb(operation.unweighted) { $0.absorb($1) } }
        case .mergeBlock(let operation): absorb(operation)
        }
    }

    private mutating func absorb(_ operation: FactorOperation) {
        absorb("factor \(operation.columns) \(operation.appendsOnes) \(operation.elementType.rawValue)")
        absorb("\(operation.chunkRows) \(operation.reduction)")
        absorb(operation.divisor.map { [$0] } ?? []) { $0.absorb($1) }
        absorb(operation.slices) { text, slice in
            text.absorb(slice.rows)
            text.absorb(slice.slice)
        }
    }

    private mutating func absorb(_ operation: OptimalAccumulateOperation<BlobDigest>) {
        absorb("accumulate optimally \(operation.rank) \(operation.scale.rawValue)")
        for side in [operation.input, operation.gradient] {
            // Inner products follow from the factors.
            absorb(side.dimension)
            absorb(side.factors) { $0.absorb($1) }
        }
        absorb(operation.weights) { $0.absorb($1) }
        absorb(operation.exclusions) { $0.absorb($1 ?? -1) }
    }

    private mutating func absorb(_ operation: MergeBlockOperation<BlobDigest>) {
        absorb("merge damped on both sides")
        absorb(operation.block)
        absorb(operation.base)
        absorb(operation.scale)
        absorb(operation.damping)
        absorb(operation.outputTypes) { $0.absorb($1.rawValue) }
        absorb(operation.tasks) { text, task in
            text.absorb(task.parameters)
            text.absorb(task.weight)
            text.absorb(task.lambda)
            text.absorb(task.factors)
        }
    }

    private mutating func absorb(_ damping: DampingSpec) {
        absorb(damping.rule.rawValue)
        absorb(damping.value)
    }

    private mutating func absorb(_ block: CurvatureBlock) {
        switch block.kind {
        case .linear(let outputs, let inputs, let hasBias): absorb("linear \(outputs) \(inputs) \(hasBias)")
        case .full(let dimension): absorb("full \(dimension)")
        }
    }

    private mutating func absorb(_ factors: BlockFactors<BlobDigest>) {
        switch factors {
        case .kronecker(let input, let gradient):
            absorb(input)
            absorb(gradient)
        case .full(let blob): absorb(blob)
        }
    }

    private mutating func absorb(_ parameters: BlockParameters) {
        absorb(parameters) { text, source in
            text.absorb(source.elementType.rawValue)
            text.absorb(source.slice)
        }
    }
}
