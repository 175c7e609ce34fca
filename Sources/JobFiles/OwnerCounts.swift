import JSONText

/// Counts of rows or samples, as a file's metadata states them: by layer and parameter, or one number for all.
public enum OwnerCounts: Equatable, Sendable {
    /// The same for every layer and parameter.
    case all(Int)
    /// By layer or parameter.
    case each([String: Int])

    /// The count of one layer or parameter, or nil.
    public subscript(owner: String) -> Int? {
        switch self {
        case .all(let count): count
        case .each(let counts): counts[owner]
        }
    }

    /// The mean rows of a layer's samples; nil unless both numbers are stated, and the latter is above 0.
    public static func rowsPerSample(of layer: String, _ rows: OwnerCounts?, _ samples: OwnerCounts) -> Double? {
        guard let rows = rows?[layer], let samples = samples[layer], samples > 0 else { return nil }
        return Double(rows) / Double(samples)
    }

    /// The counts as a file holds them.
    var text: String {
        switch self {
        case .all(let count): String(count)
        case .each(let counts): JSONValue.sortedObject(counts) { .number(String($0)) }.text()
        }
    }
}

extension MetadataReader {
    /// Counts from 0 on, or nil if the key is absent.
    func counts(_ key: String, _ expected: String) throws(JobFileError) -> OwnerCounts? {
        guard let text = metadata[key] else { return nil }
        if let count = text.wholeNumber { return .all(count) }
        return try object(key, expected, \.count).map { .each($0) }
    }
}

extension String {
    /// The number that decimal digits alone write; nil for any other text.
    var wholeNumber: Int? { utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(self) : nil }
}
