public import JobPlan
import TaskArithmetic
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
    /// Those of a brief unit, whose messages are joined with others.
    static let briefHandlingSeconds = 2.5e-4

    /// Predicts a unit.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - storedBytes: Bytes of its results that stay in the store of its worker.
    ///   - placedBytes: Bytes of its results that are written in their places in staged files.
    ///   - placesAreSquares: Whether these places are squares, which have twice the bytes.
    ///   - sentBytes: Bytes of its results that are sent to the coordinator's store.
    /// - Returns: Its seconds on one lane.
    public func seconds(
        of unit: WorkUnit, storedBytes: UInt64 = 0, placedBytes: UInt64 = 0, placesAreSquares: Bool = false,
        sentBytes: UInt64 = 0
    ) -> UnitSeconds {
        switch unit.work {
        case .worker(let operation):
            var seconds = seconds(of: operation, unit.cost, stored: Double(storedBytes), sent: Double(sentBytes))
            let placed = Double(placedBytes)
            seconds.writing += placesAreSquares ? placed / 4 / squares + 2 * placed / writing : placed / writing
            return seconds
        case .coordinator(let operation): return seconds(of: operation, unit.cost)
        }
    }

    private func seconds(
        of operation: any UnitOperation, _ cost: UnitCost, stored: Double, sent: Double
    ) -> UnitSeconds {
        let sliced = operation.slices.reduce(0.0) { $0 + Double($1.byteCount) }
        let input = Double(cost.inputBytes)
        let blobs = input - min(input, sliced)
        if let sample = MergeSample(operation), let pace = merges[sample.kind] {
            return seconds(
                of: sample, at: pace, readsBlobs: operation.inputBlobCount > 0, cost, stored: stored, sent: sent)
        }
        var seconds = UnitSeconds()
        seconds.kernels = kernelSeconds(operation.kernel, cost)
        // A worker hashes every blob that it reads or makes, and no slice of an input file.
        seconds.reading = input / reading + blobs / hashing
        seconds.writing = resultSeconds(of: cost, stored: stored, sent: sent)
        seconds.handling = cost.isBrief ? Self.briefHandlingSeconds : Self.handlingSeconds
        return seconds
    }

    /// Seconds for the results of a unit.
    private func resultSeconds(of cost: UnitCost, stored: Double, sent: Double) -> Double {
        let made = stored / writing + Double(cost.outputBytes) / hashing
        // The coordinator hashes what is sent.
        return made + sent / reading + sent / hashing + 2 * sent / writing
    }

    /// Predicts a merge by the pace of its method.
    private func seconds(
        of sample: MergeSample, at pace: MergePace, readsBlobs: Bool, _ cost: UnitCost, stored: Double, sent: Double
    ) -> UnitSeconds {
        let elements = Double(sample.shape.rows) * Double(sample.shape.columns)
        var blobs = 0.0
        if readsBlobs, let stated = sample.cost(of: sample.shape) {
            // The cost of a merge counts values as if they were F32.
            let values = 4 * elements * Double(sample.models.count * stated.valuePasses + 1)
            blobs = max(0, Double(cost.inputBytes) - values)
        }
        var seconds = UnitSeconds()
        seconds.kernels = pace.seconds(work: sample.work, elements: elements)
        seconds.reading = (sample.bytesRead(elements: elements) * pace.passes + blobs) / reading + blobs / hashing
        seconds.writing = resultSeconds(of: cost, stored: stored, sent: sent)
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

    private func seconds(of operation: CoordinatorOperation, _ cost: UnitCost) -> UnitSeconds {
        let (input, output) = (Double(cost.inputBytes), Double(cost.outputBytes))
        var seconds = UnitSeconds()
        seconds.handling = Self.handlingSeconds
        switch operation {
        case .digestInputs: seconds.reading = input / reading + input / hashing
        case .assembleFactors, .assembleRegularizer, .assembleInverses:
            // Workers have written the matrices. The whole file is read for its digest.
            seconds.reading = output / reading
            seconds.writing = output / hashing
        case .mergeCheckpoint:
            seconds.reading = input / reading
            seconds.kernels = input / 4 / elementSums
            seconds.writing = output / writing + output / reading + output / hashing
        case .writeReport, .publish: seconds.reading = input / reading
        }
        return seconds
    }
}
