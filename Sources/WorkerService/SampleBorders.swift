import LinearAlgebra
import UnitOperations
import WireProtocol

/// The borders of samples among a factor's rows, from the sample numbers that the captures hold beside them.
struct SampleBorders {
    let rowSlices: [RowSlice]
    /// The numbers of each slice.
    let numbers: [SampleNumbers]
    let input: InputReader

    /// Consecutive rows of one slice and one probe.
    private struct Part {
        let numbers: SampleNumbers
        /// The rows' places among the numbers.
        let places: Range<Int>
        /// The first row, counted over all slices.
        let firstRow: Int

        var slice: FileSlice {
            FileSlice(
                file: numbers.slice.file,
                offset: numbers.slice.offset + UInt64(places.lowerBound * numbers.numberBytes),
                byteCount: UInt64(places.count * numbers.numberBytes))
        }
    }

    /// The rows at which samples begin.
    ///
    /// A sample ends with its slice, and with its probe's block of rows.
    ///
    /// - Parameters:
    ///   - range: Rows, counted over all slices.
    ///   - raw: The lane's bytes.
    /// - Returns: The rows of `range` that are the first of their sample, in order.
    /// - Throws: ``UnitError/badInput(_:)`` for numbers that decrease or that no sample has, or what reading throws.
    func starts(in range: Range<Int>, _ raw: inout [UInt8]) async throws -> [Int] {
        var starts: [Int] = []
        var previous: Int64?
        // The row before the range tells whether the first one begins a sample.
        for part in parts(of: max(0, range.lowerBound - 1)..<range.upperBound) {
            if part.places.lowerBound == 0 { previous = nil }
            try await input.read(part.slice, into: &raw)
            let type: IndexType = part.numbers.isWide ? .i64 : .i32
            for index in 0..<part.places.count {
                let number = type.index(at: index, of: raw)
                try check(number, after: previous, part, index)
                let row = part.firstRow + index
                if number != previous, range.contains(row) { starts.append(row) }
                previous = number
            }
        }
        return starts
    }

    private func parts(of range: Range<Int>) -> [Part] {
        var parts: [Part] = []
        var first = 0
        for (slice, numbers) in zip(rowSlices, numbers) {
            let overlap = range.clamped(to: first..<first + slice.rows)
            var row = overlap.lowerBound
            while row < overlap.upperBound {
                let place = (row - first) % numbers.rows
                let count = min(numbers.rows - place, overlap.upperBound - row)
                parts.append(Part(numbers: numbers, places: place..<place + count, firstRow: row))
                row += count
            }
            first += slice.rows
        }
        return parts
    }

    private func check(_ number: Int64, after previous: Int64?, _ part: Part, _ index: Int) throws {
        let row = part.places.lowerBound + index
        func place() -> String {
            "\(input.path(of: part.numbers.slice.file)): the \"row_samples\" of tensor \"\(input.lease.subject)\""
        }
        guard number >= 0, number < part.numbers.samples else {
            throw UnitError.badInput(
                "\(place()) state sample \(number) for row \(row); expected 0 to \(part.numbers.samples - 1), one of "
                    + "the \(part.numbers.samples) samples. Correct them, or the number of samples.")
        }
        if let previous, number < previous {
            throw UnitError.badInput(
                "\(place()) decrease from \(previous) to \(number) in row \(row); expected all rows of a sample one "
                    + "after the other, samples in order. Sort the rows by sample.")
        }
    }
}
