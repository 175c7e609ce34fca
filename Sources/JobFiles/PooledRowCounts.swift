import Identifiers
import LinearAlgebra
import Safetensors
import SystemPackage

/// The check of a factor set's row counts beside pooled positions, by the ones of the layers' biases.
///
/// A pooled one is √n_c of a bucket's n_c positions, so the squares of the ones of a sample sum to its rows. The rows
/// of a set hold at most that, and all of it if there are as many as samples. The mean squares hold all of it, and
/// more. Without a bias nothing tells the rows.
///
/// Source: DESIGN sections 2.2, joint form, and 3.
public struct PooledRowCounts {
    private let set: CurvatureSet
    private let metadata: FactorsMetadata
    private let stated: JointRowsMetadata

    /// By how much equal numbers may differ, as a share of them: rows are rounded to fp32.
    private static let tolerance = 1e-4

    /// The check of a factor set; `nil` if its metadata states no joint rows.
    public init?(_ set: CurvatureSet, _ metadata: FactorsMetadata) {
        guard let stated = metadata.jointRows else { return nil }
        (self.set, self.metadata, self.stated) = (set, metadata, stated)
    }

    /// A sentence about the first layer that states other rows than its tensors hold, and the number of the others.
    ///
    /// - Throws: ``JobFileError`` when reading fails.
    public func problem() throws(JobFileError) -> String? {
        var found: [String] = []
        for layer in (stated.buckets?.layers ?? []).sorted() where metadata.hasBias[layer] == true {
            if let problem = try problem(of: layer) { found.append(problem) }
        }
        guard let first = found.first else { return nil }
        let others = found.count > 1 ? " (\(found.count - 1) more layers are like it)" : ""
        return "\(first)\(others). Make the factors again from the rows."
    }

    private func problem(of layer: String) throws(JobFileError) -> String? {
        guard let rows = OwnerCounts.rowsPerSample(of: layer, metadata.rowCounts, metadata.sampleCounts),
            let samples = metadata.sampleCounts[layer], let (ones, file) = try ones(of: layer),
            let (most, _) = try sum(of: "\(layer).input_squares", { $0.reduce(0, +) })
        else { return nil }
        // Squares that are not finite, or no squares, are another problem.
        guard ones.isFinite, most.isFinite else { return nil }
        let isWhole = stated.ranks.inputs >= samples
        let slack = Self.tolerance * rows
        guard ones > rows + slack || most < rows - slack || (isWhole && ones < rows - slack) else { return nil }
        let expected = isWhole ? "\(ones)" : "\(ones) to \(most)"
        return "\(file): layer \"\(layer.excerpt)\" has \(rows) rows of a sample by the metadata "
            + "\"\(MetadataKey.rows)\"; expected \(expected), as the ones of its bias in "
            + "\"\(layer.excerpt).input_rows\" sum to"
    }

    /// The sum of the squares of the last column of a layer's rows.
    private func ones(of layer: String) throws(JobFileError) -> (Double, String)? {
        let name = "\(layer).input_rows"
        guard let width = entry(name)?.shape.last, width > 0 else { return nil }
        return try sum(of: name) { numbers in
            stride(from: width - 1, to: numbers.count, by: width).reduce(0) { $0 + numbers[$1] * numbers[$1] }
        }
    }

    private func entry(_ name: String) -> JointEntry? { set.jointEntries.first { $0.name.description == name } }

    /// A sum over a tensor's elements, and the file that holds them.
    private func sum(
        of name: String, _ sum: ([Double]) -> Double
    ) throws(JobFileError) -> (sum: Double, file: String)? {
        guard let entry = entry(name), let file = set.tensors.files.first(where: { $0.path == entry.file }) else {
            return nil
        }
        let numbers = try file.numbers(.f32, entry.fileRange.lowerBound, count: entry.fileRange.count / 4)
        return (sum(numbers), file.path.string)
    }
}
