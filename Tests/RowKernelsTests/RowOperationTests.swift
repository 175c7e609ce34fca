import RowKernels
import TestSupport
import Testing

/// Scaling, sums, broadcasts and products: their closed forms hold to one rounding of each operation.
struct RowOperationTests {
    private static let rows = 6
    private static let switches = [false, true]

    private func sum(_ left: [Double], _ right: [Double]) -> [Double] { zip(left, right).map { $0 + $1 } }
    private func product(_ left: [Double], _ right: [Double]) -> [Double] { zip(left, right).map { $0 * $1 } }

    @Test(arguments: widths, switches)
    func `scaling multiplies and shifts each row from slices with offsets`(columns: Int, adding: Bool) {
        var random = SplitMix64(seed: 21)
        let (input, former) = (random.buffer(Self.rows * columns), random.buffer(Self.rows * columns))
        let parameters = random.buffer(3 + 2 * columns)
        let factors = Array(parameters.wide[3..<(3 + columns)])
        let shifts = Array(parameters.wide[(3 + columns)...])
        let scaled = (0..<Self.rows).flatMap { product(input.row($0, columns: columns), factors) }
        let shifted = (0..<Self.rows).flatMap { sum(product(input.row($0, columns: columns), factors), shifts) }

        var result = former
        RowKernels.scale(
            input, by: ParameterSlice(parameters, at: 3), shift: ParameterSlice(parameters, at: 3 + columns),
            result: &result, rows: Self.rows, columns: columns, adding: adding)
        expectBuffer(result, adding ? sum(former.wide, shifted) : shifted, absolute: 2e-7)

        result = former
        RowKernels.scale(
            input, by: ParameterSlice(parameters, at: 3), result: &result, rows: Self.rows, columns: columns,
            adding: adding)
        expectBuffer(result, adding ? sum(former.wide, scaled) : scaled, absolute: 2e-7)
    }

    @Test(arguments: widths, [1, 2, 6])
    func `sums over groups of rows are added from an offset on`(columns: Int, groups: Int) {
        var random = SplitMix64(seed: 22)
        let rowsPerGroup = Self.rows / groups
        let (x, y) = (random.buffer(Self.rows * columns), random.buffer(Self.rows * columns))
        let former = random.buffer(7 + groups * columns)

        func expected(_ values: [Double]) -> [Double] {
            var sums = former.wide
            for row in 0..<Self.rows {
                for column in 0..<columns {
                    sums[7 + row / rowsPerGroup * columns + column] += values[row * columns + column]
                }
            }
            return sums
        }

        var sums = former
        RowKernels.addGroupSums(
            of: x, to: &sums, at: 7, groups: groups, rowsPerGroup: rowsPerGroup, columns: columns)
        expectBuffer(sums, expected(x.wide), absolute: 1e-6)
        sums = former
        RowKernels.addGroupSums(
            of: x, times: y, to: &sums, at: 7, groups: groups, rowsPerGroup: rowsPerGroup, columns: columns)
        expectBuffer(sums, expected(product(x.wide, y.wide)), absolute: 1e-6)
        #expect(sums[..<7] == former[..<7])
    }

    @Test(arguments: widths, switches)
    func `a row from an offset is written to, or added to, each row`(columns: Int, adding: Bool) {
        var random = SplitMix64(seed: 23)
        let parameters = random.buffer(4 + columns)
        let former = random.buffer(Self.rows * columns)
        var result = former
        RowKernels.broadcast(
            ParameterSlice(parameters, at: 4), to: &result, rows: Self.rows, columns: columns, adding: adding)
        let rows = (0..<Self.rows).flatMap { _ in parameters.wide[4...] }
        expectBuffer(result, adding ? sum(former.wide, rows) : rows, absolute: adding ? 1.2e-7 : 0)
    }

    @Test(arguments: widths) func `elements are multiplied one by one`(count: Int) {
        var random = SplitMix64(seed: 24)
        let (left, right) = (random.buffer(count), random.buffer(count))
        var result = left
        RowKernels.multiply(&result, by: right, count: count)
        expectBuffer(result, product(left.wide, right.wide), relative: 6e-8)
    }

    @Test func `no rows and no groups change nothing`() {
        var random = SplitMix64(seed: 25)
        let former = random.buffer(8)
        var result = former
        RowKernels.scale(former, by: ParameterSlice(former), result: &result, rows: 0, columns: 8)
        RowKernels.broadcast(ParameterSlice(former), to: &result, rows: 0, columns: 8)
        RowKernels.addGroupSums(of: former, to: &result, groups: 0, rowsPerGroup: 3, columns: 8)
        RowKernels.addGroupSums(of: former, to: &result, groups: 1, rowsPerGroup: 0, columns: 8)
        RowKernels.multiply(&result, by: former, count: 0)
        RowKernels.softmax(&result, rows: 0, columns: 8)
        #expect(result == former)
    }
}
