/// The name of a captured layer or parameter: a module or tensor, and the part of it that is meant.
///
/// `experts.gate_up_proj[3]` is expert 3 of a fused tensor, `qkv[0:768]` are the outputs 0..<768 of a fused layer,
/// and both may stand together as `w[3][0:768]`.
struct LayerAddress: Equatable {
    /// The name without the part.
    let module: String
    /// The index of the tensor's first dimension.
    let index: Int?
    /// The outputs: rows of a weight `[d_out, d_in]`, columns of one `[d_in, d_out]`.
    let rows: Range<Int>?

    /// A name that addresses the whole.
    init(whole name: String) {
        module = name
        index = nil
        rows = nil
    }

    /// Splits a name; `nil` if it does not end in the address of a part.
    init?(_ name: String) {
        guard name.hasSuffix("]") else { return nil }
        let expression = /(.+?)(?:\[([0-9]{1,9})\])?(?:\[([0-9]{1,9}):([0-9]{1,9})\])?/
        guard let match = name.wholeMatch(of: expression), match.2 != nil || match.3 != nil else { return nil }
        module = String(match.1)
        index = match.2.flatMap { Int($0) }
        guard let lower = match.3.flatMap({ Int($0) }), let upper = match.4.flatMap({ Int($0) }) else {
            rows = nil
            return
        }
        guard lower <= upper else { return nil }
        rows = lower..<upper
    }
}
