public import Identifiers
import JSONText
public import SystemPackage

/// The metadata of a capture file.
///
/// Source: DESIGN section 3. Files of other programs need only `samples`.
public struct CaptureMetadata: Equatable, Sendable {
    /// N, at least 1.
    public var sampleCount: Int
    /// N of the layers and parameters that have another one than the file.
    public var layerSampleCounts: [String: Int]
    /// M, at least 1.
    public var probeCount: Int
    /// The task, if the file states it.
    public var task: TaskName?
    /// SHA-256 of the base checkpoint, if the file states it.
    public var baseDigest: BlobDigest?
    /// The order of the dimensions of the base's weights, by layer, where the file declares it.
    public var layouts: [String: WeightLayout] = [:]
    /// The factors of which only the diagonal is to be made.
    public var diagonals: Set<CurvatureTensorName> = []

    /// Describes a capture.
    public init(
        sampleCount: Int, layerSampleCounts: [String: Int] = [:], probeCount: Int = 1, task: TaskName? = nil,
        baseDigest: BlobDigest? = nil
    ) {
        self.sampleCount = sampleCount
        self.layerSampleCounts = layerSampleCounts
        self.probeCount = probeCount
        self.task = task
        self.baseDigest = baseDigest
    }

    /// Reads a file's metadata; probes are `probes`, else `mc_samples`, else 1.
    ///
    /// - Throws: ``JobFileError`` for another `format`, missing or zero samples, or a value of another kind.
    public init(parsing metadata: [String: String], file: FilePath) throws(JobFileError) {
        let reader = MetadataReader(metadata: metadata, file: file)
        try reader.requireFormat(.capture)
        let expected = "the number of samples"
        if Int(try reader.required(MetadataKey.samples, expected)) == 0 { throw .zeroSamples(file: file) }
        guard let sampleCount = try reader.positiveInteger(MetadataKey.samples) else {
            throw .metadataMissing(file: file, key: MetadataKey.samples, expected: expected)
        }
        self.sampleCount = sampleCount
        self.layerSampleCounts =
            try reader.object(MetadataKey.layerSamples, "an object of whole numbers by layer", \.count) ?? [:]
        let ownProbes = try reader.positiveInteger(MetadataKey.probes)
        let probesOfOthers = try reader.positiveInteger(MetadataKey.probesOfOthers)
        self.probeCount = ownProbes ?? probesOfOthers ?? 1
        self.task = metadata[MetadataKey.task].map(TaskName.init(rawValue:))
        self.baseDigest = try reader.digest(MetadataKey.baseDigest)
        self.layouts = try reader.layouts()
        self.diagonals = try reader.diagonals()
    }

    /// N of a layer or a parameter.
    public func sampleCount(of owner: String) -> Int { layerSampleCounts[owner] ?? sampleCount }

    /// The metadata's strings, as a file holds them.
    public var strings: [String: String] {
        var strings = [
            MetadataKey.format: FormatVersion.capture.description,
            MetadataKey.samples: String(sampleCount),
            MetadataKey.probes: String(probeCount),
        ]
        if !layerSampleCounts.isEmpty {
            strings[MetadataKey.layerSamples] =
                JSONValue.sortedObject(layerSampleCounts) { .number(String($0)) }.text()
        }
        strings[MetadataKey.task] = task?.rawValue
        strings[MetadataKey.baseDigest] = baseDigest?.description
        strings[MetadataKey.layout] = layouts.metadataText
        strings[MetadataKey.diagonal] = diagonals.metadataText
        return strings
    }
}
