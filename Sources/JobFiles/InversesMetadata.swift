public import Identifiers
import JSONText
public import SystemPackage

/// The metadata of a file of damped inverses.
///
/// Source: DESIGN section 2.4 and 3.
public struct InversesMetadata: Equatable, Sendable {
    /// The source of the inverted factors: the regularizer's target, or the task.
    public var target: String
    /// `pi`, `relative` or `absolute`.
    public var dampingRule: String
    /// γ of the rule; absent in older files.
    public var dampingValue: Double?
    /// The damping that the rule gives, by factor; empty in older files.
    public var dampingAsked: [String: Double]
    /// The damping that succeeded, by factor; it may exceed the requested one.
    public var dampingUsed: [String: Double]
    /// SHA-256 of the base checkpoint, if the file states it.
    public var baseDigest: BlobDigest?

    /// Describes a set of inverses.
    public init(
        target: String, dampingRule: String, dampingValue: Double? = nil, dampingAsked: [String: Double] = [:],
        dampingUsed: [String: Double], baseDigest: BlobDigest? = nil
    ) {
        self.target = target
        self.dampingRule = dampingRule
        self.dampingValue = dampingValue
        self.dampingAsked = dampingAsked
        self.dampingUsed = dampingUsed
        self.baseDigest = baseDigest
    }

    /// Reads a file's metadata.
    ///
    /// - Throws: ``JobFileError`` for another `format`, a missing value, or a value of the wrong type.
    public init(parsing metadata: [String: String], file: FilePath) throws(JobFileError) {
        let reader = MetadataReader(metadata: metadata, file: file)
        try reader.requireFormat(.inverses)
        let expected = "an object of numbers by layer"
        self.target = try reader.required(MetadataKey.target, "a task's name or \"all\"")
        self.dampingRule = try reader.required(MetadataKey.damping, "\"pi\", \"relative\" or \"absolute\"")
        self.dampingValue = try reader.number(MetadataKey.dampingValue)
        self.dampingAsked = try reader.object(MetadataKey.dampingAsked, expected, \.finiteNumber) ?? [:]
        _ = try reader.required(MetadataKey.dampingUsed, expected)
        self.dampingUsed = try reader.object(MetadataKey.dampingUsed, expected, \.finiteNumber) ?? [:]
        self.baseDigest = try reader.digest(MetadataKey.baseDigest)
    }

    /// The metadata as the strings of a file.
    public var strings: [String: String] {
        var strings = [
            MetadataKey.format: FormatVersion.inverses.description,
            MetadataKey.target: target,
            MetadataKey.damping: dampingRule,
            MetadataKey.dampingUsed: JSONValue.sortedObject(dampingUsed) { .number(String($0)) }.text(),
        ]
        strings[MetadataKey.dampingValue] = dampingValue.map { String($0) }
        if !dampingAsked.isEmpty {
            strings[MetadataKey.dampingAsked] = JSONValue.sortedObject(dampingAsked) { .number(String($0)) }.text()
        }
        strings[MetadataKey.baseDigest] = baseDigest?.description
        return strings
    }
}
