public import Identifiers
public import UnitOperations

extension JobPlan {
    /// The outputs of other units that a unit reads, in reading order.
    ///
    /// A unit that only waits for others, such as the report, reads none of their blobs.
    public func blobs(readBy unit: WorkUnit) -> [UnitOutput] {
        switch unit.work {
        case .worker: unit.inputs
        case .coordinator(.assembleFactors(let task)):
            products.fileOutputs(
                of: blocks, for: { .factor($0, of: task) }, compressed: { .compressedFactor($0, of: task) })
                + jointBlobs(of: .task(task))
        case .coordinator(.assembleRegularizer(let target)):
            spec.regularizerSets(of: target).flatMap { set in
                products.fileOutputs(of: blocks, for: set.purpose, compressed: set.compressedPurpose)
            } + jointBlobs(of: .target(target))
        case .coordinator(.assembleInverses(let target)):
            products.outputs(of: blocks) { .inverse($0, of: target) }
        case .coordinator(.mergeCheckpoint): mergedBlobs.flatMap(factors)
        case .coordinator(.digestInputs), .coordinator(.writeReport), .coordinator(.publish): []
        }
    }

    /// The outputs of other units that a worker reads for a unit.
    ///
    /// - Parameters:
    ///   - unit: A unit of workers.
    ///   - result: A unit's result, or `nil` when unknown.
    /// - Returns: The inputs, or `nil` when one of them is unknown.
    public func inputs(of unit: WorkUnit, result: (UnitIndex) -> UnitResult?) -> UnitInputs? {
        var inputs = UnitInputs()
        for output in unit.inputs {
            guard let blob = result(output.unit)?.blob(at: output.position) else { return nil }
            inputs.blobs.append(blob)
        }
        for measurement in unit.inputNumbers {
            guard let numbers = result(measurement.unit)?.measurements[measurement.name] else { return nil }
            inputs.numbers.append(numbers)
        }
        return inputs
    }

    /// A worker unit's key, when its inputs are known.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - result: A unit's result, or `nil` when unknown.
    /// - Returns: The key, or `nil` for a coordinator's unit or a unit with unknown inputs.
    public func key(of unit: WorkUnit, result: (UnitIndex) -> UnitResult?) -> UnitKey? {
        guard let operation = unit.operation, let inputs = inputs(of: unit, result: result) else { return nil }
        return UnitKey(of: operation, inputs: inputs, files: inventory.files)
    }

    /// The blobs with the pseudo-rows of a file, each once: layers with equal inputs share one.
    private func jointBlobs(of owner: JointRowsOwner) -> [UnitOutput] {
        var seen: Set<UnitOutput> = []
        return jointTensors(of: owner).compactMap { tensor in
            guard case .blob(let output) = tensor.content, seen.insert(output).inserted else { return nil }
            return output
        }
    }

    /// The blobs of ``mergedRegions``, each once: a tensor and its second copy are written from one.
    private var mergedBlobs: [UnitOutput] {
        var seen: Set<UnitOutput> = []
        return mergedRegions.map(\.output).filter { seen.insert($0).inserted }
    }

    /// A merge's blob, or the two of its factors.
    private func factors(_ output: UnitOutput) -> [UnitOutput] {
        spec.checkpoint.adapterRank == nil ? [output] : [output, UnitOutput(output.unit, 1)]
    }

    /// The parts of tensors that workers merge, each with its blob: those of blocks, then those without factors.
    public var mergedRegions: [(region: ParameterRegion, output: UnitOutput)] {
        let ofBlocks = blocks.flatMap { block in
            block.regions.enumerated().flatMap { position, region in
                products[block.name, .blockMerge].map { merge in
                    inventory.base.withCopies([region]).map { ($0, UnitOutput(merge.unit, position)) }
                } ?? []
            }
        }
        let ofTensors = products.outputs(for: .tensorMerge).compactMap { part, output in
            mergedParts[part].map { (region: $0, output: output) }
        }
        let ofSums = products.outputs(for: .matrixSum).compactMap { name, output in
            inventory.base.tensors[name].map {
                (region: ParameterRegion(tensor: name, elements: 0..<$0.elementCount), output: output)
            }
        }
        return ofBlocks + ofTensors + ofSums
    }

    /// A part of a tensor that the coordinator merges element by element, with numbers that a worker measures.
    public struct MeasuredRegion: Equatable, Sendable {
        /// The name of the tensor or of the part.
        public let name: String
        /// The elements.
        public let region: ParameterRegion
        /// The numbers.
        public let numbers: UnitMeasurement
    }

    /// The parts that workers measure, by name.
    public var measuredRegions: [MeasuredRegion] {
        products.outputs(for: .tensorMeasurement).compactMap { part, output in
            mergedParts[part].map {
                MeasuredRegion(name: part, region: $0, numbers: UnitMeasurement(output.unit, .statistics))
            }
        }
    }
}

extension WorkUnit {
    /// The number of blobs that the unit makes.
    public var blobCount: Int { operation?.outputBlobCount ?? 0 }

    /// The estimated bytes of a blob: all are of one size, but those in F64 are twice as large.
    public func byteCount(ofBlob position: Int) -> UInt64 {
        let doubles = operation?.doubleBlobCount ?? 0
        let single = cost.outputBytes / UInt64(max(1, blobCount + doubles))
        return position < blobCount - doubles ? single : 2 * single
    }
}
