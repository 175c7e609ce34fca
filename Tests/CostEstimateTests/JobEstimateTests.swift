import JobPlan
import LinearAlgebra
import Testing

@testable import CostEstimate

/// The seconds of small plans at rates of 1.
///
/// A factor of 8 rows takes these:
///
/// - kernels: 8 · 16 multiply-adds, 10 elements of a triangle added for the one chunk, 10 cleared and rounded: 148.
/// - reading: 8 rows of 16 bytes: 128.
/// - writing: 40 bytes hashed, mirrored as 10 elements, and written as a square of twice as many bytes: 130.
///
/// The file of both factors is 128 bytes of squares. They are read and hashed: 128 of reading, 128 of writing. Each
/// file takes a millisecond besides, and each factor, which is brief, a quarter of one.
@Suite struct JobEstimateTests {
    private func estimate(
        _ plan: JobPlan, lanes: Int, diskRate: Double? = nil, rates: (inout MachineRates) -> Void = { _ in }
    ) throws -> JobEstimate {
        var machine = try MachineRates.unit()
        rates(&machine)
        return JobEstimate(of: plan, rates: machine, lanes: lanes, coordinatorLanes: 1, diskRate: diskRate)
    }

    private func isClose(_ left: Double, _ right: Double) -> Bool { abs(left - right) < 1e-9 * max(1, right) }

    @Test func `one unit takes the seconds of its arithmetic and its bytes`() throws {
        let factor = try SmallPlan().plan().units[0]
        let rates = try MachineRates.unit()
        let seconds = rates.seconds(of: factor, placedBytes: 40)
        #expect(seconds.kernels == 148)
        #expect(seconds.reading == 128)
        #expect(seconds.writing == 80)
        #expect(rates.seconds(of: factor, placedBytes: 40, placesAreSquares: true).writing == 130)
        #expect(rates.seconds(of: factor, storedBytes: 40).writing == 80)
        #expect(seconds.handling == 2.5e-4)
        // Sent to the coordinator: read, hashed, and written on both sides.
        #expect(rates.seconds(of: factor, sentBytes: 40).writing == 40 + 160)
    }

    @Test func `the coordinator reads and hashes a file that workers have written`() throws {
        let file = try #require(try SmallPlan().plan().units.first { !$0.isForWorker })
        let seconds = try MachineRates.unit().seconds(of: file)
        #expect(seconds.reading == 128)
        #expect(seconds.writing == 128)
    }

    @Test func `on one lane all units add up, and their parts too`() throws {
        let estimate = try estimate(try SmallPlan().plan(), lanes: 1)
        #expect(isClose(estimate.seconds, 2 * 406.00025 + 256.001 + 0.001))
        #expect(isClose(estimate.parts.total, estimate.seconds))
        #expect(isClose(estimate.parts.kernels, 2 * 148))
        #expect(isClose(estimate.parts.reading, 2 * 128 + 128))
    }

    @Test func `on two lanes both factors are computed at once, and their file follows`() throws {
        let estimate = try estimate(try SmallPlan().plan(), lanes: 2)
        #expect(estimate.lanes == 2)
        #expect(isClose(estimate.seconds, 406.00025 + 256.001 + 0.001))
        #expect(isClose(estimate.parts.total, estimate.seconds))
    }

    @Test func `a disk that is slower than everything else decides, as writing`() throws {
        let plan = try SmallPlan().plan()
        let fast = try estimate(plan, lanes: 2, diskRate: 1e9)
        let slow = try estimate(plan, lanes: 2, diskRate: 0.1)
        #expect(fast == (try estimate(plan, lanes: 2)))
        #expect(isClose(slow.seconds, 1280))
        #expect(isClose(slow.parts.writing - fast.parts.writing, 1280 - fast.seconds))
    }

    @Test func `work of the coordinator beside busy lanes takes their processors`() {
        var busy = UnitSeconds()
        busy.kernels = 30
        let estimate = JobEstimate(busy: busy, makespan: 10, lanes: 2, diskSeconds: 0)
        #expect(estimate.seconds == 15)
    }

    @Test func `more rows take longer`() throws {
        let seconds = try [1, 8, 100, 4096, 4097, 100_000].map {
            try estimate(try SmallPlan(rows: $0).plan(), lanes: 2).seconds
        }
        #expect(zip(seconds, seconds.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test func `rows that are stored as bfloat16 have their own rate, if the machine has one`() throws {
        let units = try [SmallPlan(), SmallPlan(elementType: .bf16)].map { try $0.plan().units[0] }
        var rates = try MachineRates.unit()
        #expect(units.map { rates.seconds(of: $0).kernels } == [148, 148])
        rates.bfloat16Products = RateCurve([RateCurve.Point(dimension: 4, rate: 2)])
        #expect(units.map { rates.seconds(of: $0).kernels } == [148, 64 + 20])
    }

    @Test func `the rate of a product is that of its columns`() throws {
        let factor = try SmallPlan().plan().units[0]
        let rates = try MachineRates.unit(products: [(2, 1), (8, 3)])
        // 4 is in the middle between 2 and 8.
        #expect(rates.seconds(of: factor).kernels == 64 + 20)
    }
}

@Suite struct DiskEstimateTests {
    @Test func `what stands in its place and is not read has no copy`() throws {
        let disk = DiskEstimate(of: try SmallPlan().plan())
        #expect(disk.outputBytes == 128)
        #expect(disk.workerBytes == 0)
        #expect(disk.coordinatorBytes == 0)
    }

    @Test func `what workers read after a file has it stays in their stores, and what equal layers share`() throws {
        // Two tasks: four factors, and a sum of either side for each of two targets.
        let disk = DiskEstimate(of: try SmallPlan(tasks: ["a", "b"], outputs: "factors, regularizer").plan())
        #expect(disk.coordinatorBytes == 0)
        #expect(disk.workerBytes == 8 * 40)
    }
}
