import Foundation
import Testing

@testable import CostEstimate

@Suite struct RateCurveTests {
    private func curve(_ points: [(Int, Double)]) throws -> RateCurve {
        try #require(RateCurve(points.map { RateCurve.Point(dimension: $0, rate: $1) }))
    }

    @Test func `a measured dimension has its rate, and others lie between in the logarithm`() throws {
        // 64 is 2⁶, 256 is 2⁸: 128 is in the middle.
        let curve = try curve([(256, 30), (64, 10), (1024, 34)])
        #expect(curve.rate(at: 64) == 10)
        #expect(curve.rate(at: 256) == 30)
        #expect(curve.rate(at: 128) == 20)
        #expect(curve.rate(at: 512) == 32)
        // 96 is 1.5 · 2⁶, a quarter of the way.
        #expect(curve.rate(at: 96) == 15)
    }

    @Test func `outside of the points the nearest one counts`() throws {
        let curve = try curve([(64, 10), (256, 30)])
        #expect(curve.rate(at: 1) == 10)
        #expect(curve.rate(at: 100_000) == 30)
        #expect(try self.curve([(8, 5)]).rate(at: 1000) == 5)
    }

    @Test(
        arguments: [
            [], [(0, 1)], [(-1, 1)], [(4, 0)], [(4, -1)], [(4, .nan)], [(4, .infinity)], [(4, 1), (4, 2)],
        ] as [[(Int, Double)]])
    func `points without order or rate are no curve`(points: [(Int, Double)]) {
        #expect(RateCurve(points.map { RateCurve.Point(dimension: $0, rate: $1) }) == nil)
    }
}

@Suite struct RateRecordTests {
    private let machine = RatedMachine(kernels: "OpenBLAS 0.3.26 Zen", processor: "EPYC", lanes: 2)

    private func record() throws -> RateRecord {
        RateRecord(
            machine: machine, measuredAt: 1_000, rates: try .unit(), disks: ["2049": 5e8])
    }

    @Test func `a record survives its text`() throws {
        let record = try record()
        let read = try JSONDecoder().decode(RateRecord.self, from: JSONEncoder().encode(record))
        #expect(read == record)
        #expect(read.isValid(on: machine))
    }

    @Test func `a record of another machine is not valid`() throws {
        let record = try record()
        for change: (inout RatedMachine) -> Void in [
            { $0.kernels = "OpenBLAS 0.3.27 Zen" }, { $0.processor = "Xeon" }, { $0.lanes = 3 },
        ] {
            var other = machine
            change(&other)
            #expect(!record.isValid(on: other))
        }
    }

    @Test(arguments: [
        ("\"hashing\":1", "\"hashing\":0"), ("\"hashing\":1", "\"hashing\":-1"),
        ("\"measuredAt\":1000", "\"measuredAt\":-1"), ("\"version\":2", "\"version\":1"), ("500000000", "0"),
    ])
    func `a record with a number that is no rate, or of another version, is not valid`(
        part: String, replacement: String
    ) throws {
        let text = String(decoding: try JSONEncoder().encode(try record()), as: UTF8.self)
        try #require(text.contains(part), "\(text)")
        let damaged = Data(text.replacingOccurrences(of: part, with: replacement).utf8)
        #expect(!(try JSONDecoder().decode(RateRecord.self, from: damaged).isValid(on: machine)))
    }

    @Test func `a curve without points cannot be read`() {
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(RateCurve.self, from: Data("[]".utf8)) }
    }
}

extension MachineRates {
    /// A machine that does one of everything in a second, except what a test sets.
    static func unit(products: [(Int, Double)] = [(4, 1)]) throws -> MachineRates {
        func curve(_ points: [(Int, Double)]) throws -> RateCurve {
            try #require(RateCurve(points.map { RateCurve.Point(dimension: $0, rate: $1) }))
        }
        return MachineRates(
            products: try curve(products), bfloat16Products: nil, factorizations: try curve([(4, 1)]),
            matrixProducts: 1, elementSums: 1, triangles: 1, squares: 1, reading: 1, writing: 1, hashing: 1)
    }
}
