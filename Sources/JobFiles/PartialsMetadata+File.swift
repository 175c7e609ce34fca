import Identifiers
import LinearAlgebra
public import Safetensors

extension PartialsMetadata {
    /// Checks one file of partial sums by itself: its metadata, names and shapes, and the diagonals of its sums.
    ///
    /// An element of a sum of outer products is at most the larger of the two diagonal elements of its row and its
    /// column. So NaN or infinity in a row of the layer shows on the diagonal. The mean squares of joint rows sum to
    /// the diagonal's sum, divided as the factor would be. Nothing else is read.
    ///
    /// - Throws: ``JobFileError``: all problems of the file.
    public init(checking file: SafetensorsFile) throws(JobFileError) {
        let checked = try PartialsFile(file)
        var problems = PartialsProblem.grouped(checked.flaws.map { (file.path, $0) }).map(JobFileError.partials)
        for entry in checked.entries {
            let diagonal = try entry.diagonal(in: file)
            if let flaw = SemidefiniteCheck.flaw(inDiagonal: diagonal.span) {
                problems.append(.noFactor(file: file.path, tensor: entry.name.name, flaw))
            } else if let words = try checked.squaresProblem(of: entry.name, diagonal.reduce(0, +)) {
                problems.append(.partials(PartialsProblem(.jointRows(words), in: [file.path])))
            }
        }
        if let error = JobFileError.bundle(problems) { throw error }
        self = checked.metadata
    }
}

extension PartialsFile {
    /// By how much equal sums may differ, as a share of them: mean squares are rounded to fp32.
    private static let tolerance = 1e-4

    /// What the mean squares beside a sum contradict; nil if they agree, or if there are none.
    fileprivate func squaresProblem(
        of sum: CurvatureTensorName, _ trace: Double
    ) throws(JobFileError) -> String? {
        let name = JointRowNames(sum).squares
        guard let entry = jointEntries.first(where: { $0.name.description == name }),
            let samples = metadata.sampleCounts[sum.owner], samples > 0
        else { return nil }
        let squares = try file.numbers(.f32, entry.fileRange.lowerBound, count: entry.fileRange.count / 4)
        guard squares.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
            return "tensor \"\(name)\" has a negative or non-finite element; expected means of squares"
        }
        let divisor = Double(samples) * Double(sum.side == .input ? 1 : metadata.probeCount)
        let (found, expected) = (squares.reduce(0, +), trace / divisor)
        // Pooled rows are at most as large.
        let isPooled = metadata.jointRows?.buckets?.layers.contains(sum.owner) ?? false
        let excess = isPooled ? found - expected : abs(found - expected)
        guard excess > Self.tolerance * max(found, expected) else { return nil }
        return "the elements of \"\(name)\" sum to \(found); expected \(isPooled ? "at most " : "")\(expected), the "
            + "trace of \"\(sum.name)\" divided by \(divisor)"
    }
}

extension PartialsHeader.Entry {
    fileprivate func diagonal(in file: SafetensorsFile) throws(JobFileError) -> [Double] {
        if shape.isDiagonal { return try file.numbers(elementType, fileRange.lowerBound, count: shape.dimension) }
        var diagonal: [Double] = []
        for row in 0..<shape.dimension {
            let offset = fileRange.lowerBound + shape.diagonalOffset(row) * elementType.byteCount
            diagonal += try file.numbers(elementType, offset, count: 1)
        }
        return diagonal
    }
}

extension SafetensorsFile {
    /// Some elements, from a byte of the file on.
    fileprivate func numbers(
        _ type: ElementType, _ offset: Int, count: Int
    ) throws(JobFileError) -> [Double] {
        var bytes = [UInt8](repeating: 0, count: count * type.byteCount)
        try wrapping { () throws(SafetensorsError) in
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            try read(fromFileOffset: offset, into: &raw)
        }
        var numbers = [Double](repeating: 0, count: count)
        try wrapping(path) { () throws(LinearAlgebraError) in
            var span = numbers.mutableSpan
            try type.decode(bytes.span.bytes, into: &span)
        }
        return numbers
    }
}
