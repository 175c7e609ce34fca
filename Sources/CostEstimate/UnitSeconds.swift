public import JobPlan
import UnitOperations

/// The predicted seconds of one lane for a unit, by what it does in them.
public struct UnitSeconds: Equatable, Sendable {
    /// It computes.
    public var kernels = 0.0
    /// It reads inputs, and hashes results that it reads.
    public var reading = 0.0
    /// It writes results, and hashes them.
    public var writing = 0.0
    /// It is handed out and noted, whatever its size.
    public var handling = 0.0

    /// No time.
    public init() {}

    /// All seconds.
    public var total: Double { kernels + reading + writing + handling }

    static func += (left: inout UnitSeconds, right: UnitSeconds) {
        left.kernels += right.kernels
        left.reading += right.reading
        left.writing += right.writing
        left.handling += right.handling
    }

    static func * (seconds: UnitSeconds, scale: Double) -> UnitSeconds {
        var scaled = seconds
        scaled.kernels *= scale
        scaled.reading *= scale
        scaled.writing *= scale
        scaled.handling *= scale
        return scaled
    }
}

extension MachineRates {
    /// Seconds of a unit's lease, report and journal record.
    static let handlingSeconds = 1e-3

    /// Predicts a unit.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - placedBytes: Bytes of its results that are written in their places in staged files.
    ///   - placesAreSquares: Whether these places are squares. All rows of a square are written, or half of each row,
    ///     which takes all of its pages too.
    ///   - mirrorsPlaces: Whether all rows are written, so that the results must be mirrored.
    ///   - sentBytes: Bytes of its results that are sent to the coordinator's store.
    ///   - unmirroredBytes: Bytes of the triangles of a file whose squares the coordinator writes.
    /// - Returns: Its seconds on one lane.
    public func seconds(
        of unit: WorkUnit, placedBytes: UInt64 = 0, placesAreSquares: Bool = false, mirrorsPlaces: Bool = false,
        sentBytes: UInt64 = 0, unmirroredBytes: UInt64 = 0
    ) -> UnitSeconds {
        switch unit.work {
        case .worker(let operation):
            let placed = Double(placedBytes)
            var seconds = seconds(
                of: operation, unit.cost, placed: placed, pages: placed * (placesAreSquares ? 2 : 1),
                sent: Double(sentBytes))
            if placesAreSquares, mirrorsPlaces { seconds.writing += placed / 4 / squares }
            return seconds
        case .coordinator(let operation): return seconds(of: operation, unit.cost, unmirrored: Double(unmirroredBytes))
        }
    }

    private func seconds(
        of operation: any UnitOperation, _ cost: UnitCost, placed: Double, pages: Double, sent: Double
    ) -> UnitSeconds {
        let sliced = operation.slices.reduce(0.0) { $0 + Double($1.byteCount) }
        let input = Double(cost.inputBytes)
        let blobs = input - min(input, sliced)
        let output = Double(cost.outputBytes)
        var seconds = UnitSeconds()
        seconds.kernels = kernelSeconds(operation.kernel, cost)
        // A worker hashes every blob that it reads or makes, and no slice of an input file.
        seconds.reading = input / reading + blobs / hashing
        seconds.writing = output / writing + output / hashing
        // A result goes to the store of its worker first. From there it goes to its file, and to the coordinator, which
        // hashes it.
        seconds.writing += placed / reading + pages / writing
        seconds.writing += sent / reading + sent / hashing + 2 * sent / writing
        seconds.handling = Self.handlingSeconds
        return seconds
    }

    private func kernelSeconds(_ kernel: UnitKernel, _ cost: UnitCost) -> Double {
        switch kernel {
        case .symmetricProduct(let columns, let chunks, let isBFloat16):
            let curve = isBFloat16 ? bfloat16Products ?? products : products
            let elements = Double(columns) * (Double(columns) + 1) / 2
            return cost.multiplyAdds / curve.rate(at: columns) + Double(chunks) * elements / elementSums
                + elements / triangles
        case .factorization(let dimension): return cost.multiplyAdds / factorizations.rate(at: dimension)
        case .matrixProduct: return cost.multiplyAdds / matrixProducts
        case .elementSum:
            // Every element that is read is added at least once.
            return max(cost.multiplyAdds, Double(cost.inputBytes) / 4) / elementSums
        }
    }

    private func seconds(
        of operation: CoordinatorOperation, _ cost: UnitCost, unmirrored: Double
    ) -> UnitSeconds {
        let (input, output) = (Double(cost.inputBytes), Double(cost.outputBytes))
        var seconds = UnitSeconds()
        seconds.handling = Self.handlingSeconds
        seconds.reading = input / reading
        switch operation {
        case .digestInputs: seconds.reading += input / hashing
        case .assembleFactors, .assembleRegularizer, .assembleInverses:
            // Every triangle in its place is compared with its digest. A square is read a second time and compared
            // with the mirrored triangle; where a worker did not mirror it, all rows are written. Then the whole file
            // is read for its own digest.
            seconds.reading += input / hashing
            let mirrored = max(0, output - input)
            if mirrored > 0 { seconds.reading = output / reading * 2 + input / hashing + mirrored / 4 / squares }
            seconds.writing = output / reading + output / hashing
            if mirrored > 0 { seconds.writing += 2 * unmirrored / writing }
        case .mergeCheckpoint:
            seconds.kernels = input / 4 / elementSums
            seconds.writing = output / writing + output / reading + output / hashing
        case .writeReport, .publish: break
        }
        return seconds
    }
}
