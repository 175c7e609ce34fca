import Identifiers
import LinearAlgebra
public import Safetensors

extension PartialsMetadata {
    /// Checks one file of partial sums by itself: its metadata, names and shapes, and the diagonals of its sums.
    ///
    /// An element of a sum of outer products is at most the larger of the two diagonal elements of its row and its
    /// column. So NaN or infinity in a row of the layer shows on the diagonal, and nothing else is read.
    ///
    /// - Throws: ``JobFileError``: all problems of the file.
    public init(checking file: SafetensorsFile) throws(JobFileError) {
        let checked = try PartialsFile(file)
        var problems = PartialsProblem.grouped(checked.flaws.map { (file.path, $0) }).map(JobFileError.partials)
        for entry in checked.entries {
            guard let flaw = try entry.diagonalFlaw(in: file) else { continue }
            problems.append(.noFactor(file: file.path, tensor: entry.name.name, flaw))
        }
        if let error = JobFileError.bundle(problems) { throw error }
        self = checked.metadata
    }
}

extension PartialsFile.Entry {
    /// The first diagonal element that no sum of squares has.
    fileprivate func diagonalFlaw(in file: SafetensorsFile) throws(JobFileError) -> FactorFlaw? {
        let size = elementType.byteCount
        var bytes = [UInt8](repeating: 0, count: size)
        for row in 0..<shape.dimension {
            let offset = fileRange.lowerBound + shape.diagonalOffset(row) * size
            do throws(SafetensorsError) {
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                try file.read(fromFileOffset: offset, into: &raw)
            } catch {
                throw .safetensors(error)
            }
            let pattern = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let value = size == 8 ? Double(bitPattern: pattern) : Double(Float(bitPattern: UInt32(pattern)))
            if !value.isFinite { return .nonFinite(row: row, column: row) }
            if value < 0 { return .negativeDiagonal(row: row, value: value) }
        }
        return nil
    }
}
