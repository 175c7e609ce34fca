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

extension PartialsHeader.Entry {
    /// The first diagonal element that no sum of squares has.
    fileprivate func diagonalFlaw(in file: SafetensorsFile) throws(JobFileError) -> FactorFlaw? {
        let size = elementType.byteCount
        var bytes = [UInt8](repeating: 0, count: shape.dimension * size)
        do throws(SafetensorsError) {
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            if shape.isDiagonal {
                try file.read(fromFileOffset: fileRange.lowerBound, into: &raw)
            } else {
                for row in 0..<shape.dimension {
                    var element = raw._mutatingExtracting(row * size..<(row + 1) * size)
                    let offset = fileRange.lowerBound + shape.diagonalOffset(row) * size
                    try file.read(fromFileOffset: offset, into: &element)
                }
            }
        } catch {
            throw .safetensors(error)
        }
        var diagonal = [Double](repeating: 0, count: shape.dimension)
        try wrapping(file.path) { () throws(LinearAlgebraError) in
            var span = diagonal.mutableSpan
            try elementType.decode(bytes.span.bytes, into: &span)
        }
        return SemidefiniteCheck.flaw(inDiagonal: diagonal.span)
    }
}
