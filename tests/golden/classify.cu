struct Pattern {
  static constexpr int query_values = 1, key_values = 2;
  static constexpr bool needs_elements = false;
  // doc[b, q]
  LACUNA_MEMBER static s32 query_value_0(const Params& p, const Place& at, s32 q) { return read<Integer<s32>>(p.tensor[0], at.b, packed_key(clamp_index(q, at.k_len), at, p.call)); }
  LACUNA_MEMBER static void query_at(const Params& p, const Place& at, s32 q, U2 (&out)[1]) { out[0] = spans::pack(spans::point(query_value_0(p, at, q))); }
  LACUNA_MEMBER static void query_hull(U2 (&into)[1], const U2 (&with)[1]) { into[0] = spans::hull<spans::Int>(into[0], with[0]); }
  // doc[b, k]
  LACUNA_MEMBER static s32 key_value_0(const Params& p, const Place& at, s32 k) { return read<Integer<s32>>(p.tensor[0], at.b, packed_key(k, at, p.call)); }
  // slope[h] * far[b, k]
  LACUNA_MEMBER static float key_value_1(const Params& p, const Place& at, s32 k) { return (read<F32>(p.tensor[1], at.h) * read<F32>(p.tensor[2], at.b, packed_key(k, at, p.call))); }
  LACUNA_MEMBER static void key_at(const Params& p, const Place& at, s32 k, U2 (&out)[2]) {
    out[0] = spans::pack(spans::point(key_value_0(p, at, k)));
    out[1] = spans::pack(spans::point(key_value_1(p, at, k)));
  }
  LACUNA_MEMBER static void key_hull(U2 (&into)[2], const U2 (&with)[2]) {
    into[0] = spans::hull<spans::Int>(into[0], with[0]);
    into[1] = spans::hull<spans::Real>(into[1], with[1]);
  }
  LACUNA_MEMBER static Truth classify(const Params& p, const Place& at, const Box& box, const U2 (&q)[1], const U2 (&k)[2]) {
    const spans::Int x3 = spans::at_most(spans::Int{box.k0, box.k1}, spans::Int{box.q0, box.q1});
    const spans::Int x4 = spans::at_least(spans::Int{box.q0, box.q1}, spans::Int{box.k0, box.k1});
    const spans::Int x5 = spans::point(wrap_sub(0, (s32)(p.param[0])));
    const spans::Int x6 = spans::subtract(x4, x3);
    const spans::Bool x10 = spans::less_equal(spans::at_least(x6, x5), spans::point(wrap_add(at.h, wrap_mul((s32)(p.param[0]), 3))));
    const spans::Int at_16[] = {spans::point(at.h), spans::clamp(spans::floor_divide(x4, spans::point(64)), p.tensor[3].extent[1]), spans::clamp(spans::floor_divide(x3, spans::point(64)), p.tensor[3].extent[2])};
    const spans::Bool x17 = spans::either(spans::both(spans::less_equal(x5, x6), x10), spans::read_box<Integer<u8>, bool>(p.tensor[3], at_16));
    const spans::Bool x22 = spans::both(spans::both(spans::less_equal(spans::Int{box.k0, box.k1}, spans::Int{box.q0, box.q1}), x17), spans::equal(spans::unpacked<spans::Int>(q[0]), spans::unpacked<spans::Int>(k[0])));
    const spans::Bool x30 = spans::both(spans::both(x22, spans::congruent(x6, spans::point(4), spans::point(1))), spans::less(spans::unpacked<spans::Real>(k[1]), spans::real_of(x4)));
    return spans::truth_of(x30);
  }
};
