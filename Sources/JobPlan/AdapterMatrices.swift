import UnitOperations

/// How the matrices of an adapter are merged: with factors, as matrices by the method, or as sums.
struct AdapterMatrices {
    /// The blocks with factors that make a matrix.
    private(set) var blocks: [CurvatureBlock] = []
    /// The matrices that the method merges whole.
    private(set) var whole: [MergedMatrices.Part] = []
    /// The matrices whose vectors are only added up, and are not sums of adapters.
    private(set) var summed: [AdapterExport.Module] = []
    /// The first tensor that a block merges together with others.
    private(set) var joint: String?

    init(export: AdapterExport, examination: JobExamination) {
        self.init(
            export: export, spec: examination.spec, inventory: examination.inventory,
            blocks: examination.selection.blocks, matrices: examination.matrices)
    }

    init(
        export: AdapterExport, spec: JobSpec, inventory: JobInventory, blocks: [CurvatureBlock],
        matrices: MergedMatrices
    ) {
        let settings = MergeSettings(spec: spec, base: inventory.base)
        let names = Set(export.modules.map(\.tensor.name))
        var touched: Set<String> = []
        for block in spec.mergedBlocks(among: blocks, base: inventory.base) {
            let regions = inventory.base.withCopies(block.regions)
            guard regions.contains(where: { names.contains($0.tensor) }) else { continue }
            touched.formUnion(regions.map(\.tensor))
            self.blocks.append(block)
            let isAlone =
                block.regions.count == 1
                && block.regions.allSatisfy { region in
                    region.elements.isContiguous
                        && region.elements.elementCount
                            == inventory.base.tensors[region.tensor]?.elementCount
                }
            if case .linear = block.kind, isAlone { continue }
            joint = joint ?? regions.first { names.contains($0.tensor) }?.tensor
        }
        for module in export.modules where !touched.contains(module.tensor.name) {
            let parts = settings.mergesAsMatrix(tensor: module.tensor.name) ? matrices.parts(of: module.tensor) : []
            whole += parts
            if parts.isEmpty, !export.isConcatenated(module) { summed.append(module) }
        }
    }
}
