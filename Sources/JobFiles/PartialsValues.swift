import Identifiers
import LinearAlgebra
import Safetensors

/// The check of the values of a file of partial sums: its sums, its counts, and its joint rows.
///
/// Sums are finite, and their diagonals are not negative. Sums and counts agree. The mean squares of joint rows sum to
/// the diagonal's sum, divided as the factor would be, and the rows are a part of them.
///
/// Source: DESIGN section 3.
struct PartialsValues {
    private let checked: PartialsFile

    /// By how much equal sums may differ, as a share of them: rows and their mean squares are rounded to fp32.
    private static let tolerance = 1e-4

    init(_ checked: PartialsFile) { self.checked = checked }

    /// All problems; each tensor is read once.
    ///
    /// - Throws: ``JobFileError`` when reading fails.
    func problems() throws(JobFileError) -> [JobFileError] {
        var problems: [JobFileError] = []
        func report(_ flaw: PartialsFlaw) {
            problems.append(.partials(PartialsProblem(flaw, in: [checked.file.path])))
        }
        // The mean squares whose sum is known to be right.
        var wholes: [String: Double] = [:]
        for entry in checked.entries {
            switch try diagonal(of: entry) {
            case .flaw(let flaw):
                problems.append(.noFactor(file: checked.file.path, tensor: entry.name.name, flaw))
            case .elements(let diagonal):
                if let flaw = countFlaw(of: entry.name, diagonal) { report(flaw) }
                let name = JointRowNames(entry.name)
                switch try squares(name.squares, beside: entry.name, diagonal.reduce(0, +)) {
                case .agreeing(let sum): wholes[name.rows] = sum
                case .problem(let words): report(.jointRows(words))
                case nil: break
                }
            }
        }
        if let words = try constantProblem(&wholes) { report(.jointRows(words)) }
        for entry in checked.jointEntries {
            if let words = try rowsProblem(of: entry, within: wholes) { report(.jointRows(words)) }
        }
        return problems
    }

    /// Counts that the sums contradict; only layers with a bias are read, a number of each.
    ///
    /// - Throws: ``JobFileError`` when reading fails.
    func countProblems() throws(JobFileError) -> [JobFileError] {
        var problems: [JobFileError] = []
        for entry in checked.entries where countsRows(entry.name) {
            let last = entry.shape.diagonalOffset(entry.shape.dimension - 1) * entry.elementType.byteCount
            let corner = try checked.file.numbers(
                entry.elementType, entry.fileRange.lowerBound + last, count: 1)
            guard let flaw = countFlaw(of: entry.name, corner) else { continue }
            problems.append(.partials(PartialsProblem(flaw, in: [checked.file.path])))
        }
        return problems
    }

    // MARK: - Sums

    private enum Diagonal {
        case elements([Double])
        case flaw(FactorFlaw)
    }

    /// Reads a sum, and keeps its diagonal.
    private func diagonal(of entry: PartialsHeader.Entry) throws(JobFileError) -> Diagonal {
        var diagonal: [Double] = []
        let (type, shape) = (entry.elementType, entry.shape)
        for piece in SafetensorsFile.pieces(of: entry.fileRange) {
            let bytes = try checked.file.bytes(piece)
            let first = (piece.lowerBound - entry.fileRange.lowerBound) / type.byteCount
            if let place = type.firstNonFinite(in: bytes.span.bytes) {
                let row = shape.row(containing: first + place)
                let column = shape.isDiagonal ? row : first + place - PackedTriangle.offset(ofRow: row)
                return .flaw(.nonFinite(row: row, column: column))
            }
            let numbers = try checked.file.decoded(bytes.span.bytes, type)
            shape.forEachDiagonal(in: first..<first + numbers.count) { diagonal.append(numbers[$0]) }
        }
        return SemidefiniteCheck.flaw(inDiagonal: diagonal.span).map(Diagonal.flaw) ?? .elements(diagonal)
    }

    // MARK: - Counts

    /// Whether the last diagonal element of a sum is its number of rows: a sum of the squared ones of a bias.
    ///
    /// Rows of a sample that were reduced before are no longer counted.
    private func countsRows(_ name: CurvatureTensorName) -> Bool {
        name.side == .input && checked.metadata.hasBias[name.owner] == true
            && checked.metadata.normalization != "reduce"
    }

    /// What a sum's diagonal contradicts of the counts.
    private func countFlaw(of name: CurvatureTensorName, _ diagonal: [Double]) -> PartialsFlaw? {
        guard countsRows(name), let last = diagonal.last, let stated = checked.metadata.rowCounts?[name.owner]
        else { return nil }
        guard abs(last - Double(stated)) > Self.tolerance * max(last, Double(stated)) else { return nil }
        return .countedRows(layer: name.owner, stated: stated, found: last)
    }

    // MARK: - Joint rows

    private enum Squares {
        case agreeing(sum: Double)
        case problem(String)
    }

    /// Compares mean squares with the trace of the sum that they stand beside; nil if there are none.
    private func squares(
        _ name: String, beside sum: CurvatureTensorName, _ trace: Double
    ) throws(JobFileError) -> Squares? {
        guard let samples = checked.metadata.sampleCounts[sum.owner], samples > 0 else { return nil }
        let divisor = Double(samples) * Double(sum.side == .input ? 1 : checked.metadata.probeCount)
        // Pooled rows are at most as large.
        let isPooled = checked.metadata.jointRows?.buckets?.layers.contains(sum.owner) ?? false
        return try squares(
            name, expected: trace / divisor, isPooled: isPooled, "the trace of \"\(sum.name)\" divided by \(divisor)")
    }

    private func squares(
        _ name: String, expected: Double, isPooled: Bool, _ reason: String
    ) throws(JobFileError) -> Squares? {
        guard let entry = checked.jointEntries.first(where: { $0.name.description == name }) else { return nil }
        let squares = try checked.file.numbers(.f32, entry.fileRange.lowerBound, count: entry.fileRange.count / 4)
        guard squares.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
            return .problem("tensor \"\(name)\" has a negative or non-finite element; expected means of squares")
        }
        let found = squares.reduce(0, +)
        let excess = isPooled ? found - expected : abs(found - expected)
        guard excess > Self.tolerance * max(found, expected) else { return .agreeing(sum: found) }
        return .problem(
            "the elements of \"\(name)\" sum to \(found); expected \(isPooled ? "at most " : "")\(expected), \(reason)")
    }

    /// The constant's square is 1.
    private func constantProblem(_ wholes: inout [String: Double]) throws(JobFileError) -> String? {
        switch try squares("input_squares", expected: 1, isPooled: false, "the square of the constant") {
        case .agreeing(let sum): wholes["input_rows"] = sum
        case .problem(let words): return words
        case nil: break
        }
        return nil
    }

    /// What rows contradict: they are finite, and their squares are a part of the samples'.
    private func rowsProblem(of entry: JointEntry, within wholes: [String: Double]) throws(JobFileError) -> String? {
        guard [.inputRows, .gradientRows].contains(entry.name.content) else { return nil }
        let width = max(1, entry.shape.dropFirst().reduce(1, *))
        var sum = 0.0
        for piece in SafetensorsFile.pieces(of: entry.fileRange) {
            let bytes = try checked.file.bytes(piece)
            if let place = ElementType.f32.firstNonFinite(in: bytes.span.bytes) {
                let row = ((piece.lowerBound - entry.fileRange.lowerBound) / 4 + place) / width
                return "tensor \"\(entry.name)\" holds NaN or infinity, first in row \(row); expected finite values"
            }
            sum = try checked.file.decoded(bytes.span.bytes, .f32).reduce(sum) { $0 + $1 * $1 }
        }
        guard let whole = wholes[entry.name.description], sum > (1 + Self.tolerance) * whole else { return nil }
        let squares = entry.name.description.replacing("_rows", with: "_squares")
        return "the squares of \"\(entry.name)\" sum to \(sum); expected at most \(whole), the sum of \"\(squares)\""
    }
}
