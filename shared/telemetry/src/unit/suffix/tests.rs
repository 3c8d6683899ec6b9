//! Names of devices, and what is left of them.

use super::*;

fn check(name: &str, expected: Option<(&str, &str)>) {
    let found = of_name(name).map(|suffix| (suffix.stem.to_owned(), suffix.unit_sent.to_string()));
    let found = found.as_ref().map(|(stem, unit)| (stem.as_str(), unit.as_str()));
    assert_eq!(found, expected, "{name}");
}

#[test]
fn units_at_the_end_of_names() {
    check("temperature_F", Some(("temperature", "degF")));
    check("temperature_c", Some(("temperature", "Cel")));
    check("outdoorTempF", Some(("outdoorTemp", "degF")));
    check("temp-k", Some(("temp", "K")));
    check("tC", Some(("t", "Cel")));
    check("temperature.tF", Some(("temperature.t", "degF")));
    check("temp_deg_c", Some(("temp", "Cel")));
    check("tempDegF", Some(("temp", "degF")));
    check("pressure_hPa", Some(("pressure", "hPa")));
    check("sea_level_hpa", Some(("sea_level", "hPa")));
    check("battery.voltage_mV", Some(("battery.voltage", "mV")));
    check("batt_mv", Some(("batt", "mV")));
    check("energy_kWh", Some(("energy", "kWh")));
    check("current_ma", Some(("current", "mA")));
    check("co2_ppm", Some(("co2", "ppm")));
    check("wind_speed_kmh", Some(("wind_speed", "km/h")));
    check("humidity_pct", Some(("humidity", "%RH")));
    check("humidity_rh", Some(("humidity", "%RH")));
    check("battery_percent", Some(("battery", "%")));
    check("distance_cm", Some(("distance", "cm")));
    check("uptime_s", Some(("uptime", "s")));
    check("uptime_min", Some(("uptime", "min")));
    check("room_temperatureC", Some(("room_temperature", "Cel")));
    check("rssi_dbm", Some(("rssi", "dBm")));
    check("voltage_volts", Some(("voltage", "V")));
    check("fanHz", Some(("fan", "Hz")));
}

#[test]
fn what_only_looks_like_a_unit_stays_on_the_name() {
    for name in [
        "phase_a",
        "phase_c",
        "status_c",
        "tool_f",
        "pump_a",
        "plan_b",
        "x_m",
        "gyro_s",
        "ts_ms",
        "door_min",
        "temp_min",
        "humidity_min",
        "interval_min",
        "latency_min",
        "power_factor",
        "config_v",
        "hw_v",
        "mV",
        "_F",
        "F",
        "C",
        "temperature",
        "temperature_max",
        "current_v",
        "pressure_c",
        "",
        "_",
        "a_",
        ".",
        "total_w",
        "vpn_in",
        "motor_m3",
        "pump_l_min",
        "solar_uv",
        "index_UV",
        "lora_gw",
        "acceleration_g",
        "zone_a_m3",
        "power_w_m2",
        "water_ph",
        "_kWh",
        "m3_h",
        "per_h",
        "_per_h",
        // A figure that numbers a place makes no unit of the letters before it.
        "zone_t_l1",
        "room_t_m3",
        "valve_m_s1",
    ] {
        check(name, None);
    }
}

#[test]
fn a_unit_that_divides_another_stays_on_the_name() {
    for name in [
        "impulses_per_kWh",
        "price_per_kWh",
        "pricePerKwh",
        "energyPricePerkWh",
        "energyPricePerKwh",
        "energy_price_per_kWh",
        "water_volume_price_per_m3",
        "emission_g_per_kwh",
        "consumption_kwh_km",
        "consumption-kWh-km",
        "consumptionKwhKm",
        "consumptionKwh_km",
        "emission_g_kwh",
        "emission_kg_kWh",
        "fuel_l_km",
        "gain_mv_mm",
        "kwh_km",
        "fuel.kwh_km",
        "power_w_kwh",
    ] {
        check(name, None);
    }
}

#[test]
fn what_only_looks_like_a_unit_divides_nothing() {
    check("total_energy_kwh", Some(("total_energy", "kWh")));
    check("today_mwh", Some(("today", "mWh")));
    check("upper_kwh", Some(("upper", "kWh")));
    check("battery_voltage_v_mv", Some(("battery_voltage_v", "mV")));
    check("line_v_mv", Some(("line_v", "mV")));
    check("phase_a_kwh", Some(("phase_a", "kWh")));
    check("grid_in_kwh", Some(("grid_in", "kWh")));
    check("gridInKwh", Some(("gridIn", "kWh")));
    check("visibility_min_km", Some(("visibility_min", "km")));
    check("winding_sec_kv", Some(("winding_sec", "kV")));
    check("pump_m3_kw", Some(("pump_m3", "kW")));
    check("thermocouple_k_degc", Some(("thermocouple_k", "Cel")));
    check("tank_h_mm", Some(("tank_h", "mm")));
    check("boiler_l_degc", Some(("boiler_l", "Cel")));
    check("m_kg", Some(("m", "kg")));
    check("air_rh_pct", Some(("air_rh", "%RH")));
    check("humidity_pct_rh", Some(("humidity_pct", "%RH")));
    check("heater_watts_kw", Some(("heater_watts", "kW")));
}

#[test]
fn a_prefix_is_never_left_on_a_name() {
    check("energykWh", Some(("energy", "kWh")));
    check("insulation_resistance_kOhm", Some(("insulation_resistance", "kOhm")));
    check("insulation_resistance_kΩ", Some(("insulation_resistance", "kOhm")));
    check("standby_current_nA", Some(("standby_current", "nA")));
    check("frequencykHz", Some(("frequency", "kHz")));
    check("bridge_uV", Some(("bridge", "uV")));
    check("bridge_µV", Some(("bridge", "uV")));
    check("solar_uW", Some(("solar", "uW")));
    check("fault_kA", Some(("fault", "kA")));
    check("shot_kJ", Some(("shot", "kJ")));
    check("pulse_mJ", Some(("pulse", "mJ")));
    check("pressurehPa", Some(("pressure", "hPa")));
    check("standbyCurrentnA", Some(("standbyCurrent", "nA")));
    for name in [
        "temperature_dC",
        "voltage_dV",
        "gridkWh",
        "loadmA",
        "clockHz",
        "temperature_mC",
        "pressure_kBar",
        "energy_k_Wh",
        "pulsemJ",
    ] {
        check(name, None);
    }
}

#[test]
fn a_letter_after_an_electrical_quantity_is_a_phase() {
    for quantity in ["voltage", "current", "power", "energy", "frequency", "battery_voltage", "total_power"] {
        for phase in "abcnrstuvwABCNRSTUVW".chars() {
            check(&format!("{quantity}_{phase}"), None);
            check(&format!("{quantity}-{phase}"), None);
        }
    }
    for name in ["voltageV", "currentA", "powerW", "meter.voltageV"] {
        check(name, None);
    }
}

#[test]
fn a_prefix_of_a_name_is_read_as_it_is_written() {
    check("current_power_mw", Some(("current_power", "mW")));
    check("today_mwh", Some(("today", "mWh")));
    check("grid_MW", Some(("grid", "MW")));
    check("grid_MWh", Some(("grid", "MWh")));
    check("cell_mOhm", Some(("cell", "mOhm")));
    check("radio_MHz", Some(("radio", "MHz")));
    check("load_MPa", Some(("load", "MPa")));
    check("energyMWh", Some(("energy", "MWh")));
    check("energyKwh", Some(("energy", "kWh")));
    // A capital that camel case or a name of capitals makes says nothing, nor do megas in lower case.
    for name in [
        "batteryMv",
        "voltageMV",
        "powerMW",
        "BATTERY_VOLTAGE_MV",
        "POWER_MW",
        "UPTIME_MS",
        "radio_mhz",
        "load_mpa",
    ] {
        check(name, None);
    }
    check("POWER_KW", Some(("POWER", "kW")));
}

#[test]
fn compounds_at_the_end_of_names() {
    check("volume_m3", Some(("volume", "m3")));
    check("gas_m3", Some(("gas", "m3")));
    check("flow_m3_h", Some(("flow", "m3/h")));
    check("pump_m3_h", Some(("pump", "m3/h")));
    check("pump_m3h", Some(("pump", "m3/h")));
    check("flow_l_min", Some(("flow", "l/min")));
    check("water_l_min", Some(("water", "l/min")));
    check("flow_l_per_min", Some(("flow", "l/min")));
    check("speed_km_h", Some(("speed", "km/h")));
    check("wind_km_h", Some(("wind", "km/h")));
    check("wind_m_s", Some(("wind", "m/s")));
    check("rain_mm_h", Some(("rain", "mm/h")));
    check("outdoor_klx", Some(("outdoor", "klx")));
    check("pm25_ug_m3", Some(("pm25", "ug/m3")));
    check("dust_µg_m³", Some(("dust", "ug/m3")));
    check("solar_w_m2", Some(("solar", "W/m2")));
    check("solar_W_m2", Some(("solar", "W/m2")));
    check("accel_m_s2", Some(("accel", "m/s2")));
    check("water_us_cm", Some(("water", "uS/cm")));
    check("room_mg_m3", Some(("room", "mg/m3")));
    check("tank_kg_m3", Some(("tank", "kg/m3")));
    check("motor_m_s2", Some(("motor", "m/s2")));
    check("roof_w_cm2", Some(("roof", "W/cm2")));
    check("press_n_mm2", Some(("press", "N/mm2")));
    check("density_t_m3", Some(("density", "t/m3")));
}
